//! The connection to the server, and the requests that go over it.

use super::Durability;
use super::failure::{Verdict, not_applied, unavailable, unknown};
use super::options::RedisOptions;
use super::past::{Behind, Past, spelled, unspelled};
use super::place::Place;
use super::promise::Promise;
use super::reply::Reply;
use super::run::run_id;
use super::script::{ALL, Args, Script};
use super::silence::{ABSENT, Silence};
use super::step::Step;
use super::unsuitable::Unsuitable;
use longhaul_domain::OpId;
use longhaul_ports::{Clock, Cursor, History, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, Value};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that does not take a connection in this time is not there.
const CONNECTING: Duration = Duration::from_secs(1);
/// A request without an answer after this time is sent again.
pub(super) const ANSWERING: Duration = Duration::from_secs(2);
/// A replica that does not have a write after this time is waited for once more, with the next try.
const REPLICATING: Duration = Duration::from_secs(1);
/// A server that loads its data for longer is not waited for.
const LOADING: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);
/// The longest between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// One connection, made anew when it is lost, over which all requests but those that block go at once.
pub(super) struct Link {
    place: Place,
    prefix: String,
    clock: Option<Arc<dyn Clock>>,
    patience: Duration,
    promise: Promise,
    live: Mutex<Option<Live>>,
    /// Held by whoever connects.
    connecting: tokio::sync::Mutex<()>,
    silence: Silence,
    past: Past,
    /// Whether anybody is told of what was lost.
    is_told: bool,
    /// The newest record format that is read.
    pub(super) record_format: u32,
    /// How long no write has reached all replicas that have to have it.
    lacking: Silence,
}

/// The connection, which is given up when it is lost or its answers are out of step.
type Live = (MultiplexedConnection, Step);

/// What was answered, over a connection with this step.
type Answered = (Value, Step);

impl Link {
    pub(super) fn new(place: Place, options: &RedisOptions) -> Self {
        Self {
            place,
            prefix: options.prefix(),
            clock: options.clock.clone(),
            patience: options.patience,
            promise: Promise::new(options.durability),
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            silence: Silence::default(),
            past: Past::default(),
            is_told: options.leases.is_some(),
            record_format: options.record_format,
            lacking: Silence::default(),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The time that scripts are given; empty if the server's own counts.
    fn now(&self) -> String {
        self.clock.as_ref().map(|clock| clock.now().0.to_string()).unwrap_or_default()
    }

    /// Loads every script, as soon as the server has loaded its data.
    pub(super) async fn load_scripts(&self) -> Result<(), StoreError> {
        let mut connection = self.loaded().await?;
        for script in ALL {
            load(&mut connection, script).await.map_err(not_applied)?;
        }
        Ok(())
    }

    /// The connection, as soon as the server has loaded its data.
    pub(super) async fn loaded(&self) -> Result<MultiplexedConnection, StoreError> {
        let begun = Instant::now();
        loop {
            match self.connection().await {
                Ok((connection, _)) => return Ok(connection),
                Err(error) if Verdict::on(&error) == Verdict::Busy && begun.elapsed() < LOADING => {
                    tokio::time::sleep(LONGEST_PAUSE).await;
                }
                Err(error) => return Err(not_applied(error)),
            }
        }
    }

    /// A script that changes something. It is sent again if its answer got lost, which is why each of them is safe to
    /// send twice.
    pub(super) async fn write(
        &self,
        script: &Script,
        op: impl Into<Option<OpId>> + Send,
        args: Args,
    ) -> Result<Reply, StoreError> {
        self.change(Request::Script { script, args, purpose: Purpose::Write }, op.into()).await
    }

    /// The same for one that takes what may be another's; not where something was lost that nobody was told of. The script
    /// compares the namespace with what was told, because one can be emptied or founded again under a connection that lasts.
    pub(super) async fn take(
        &self,
        script: &Script,
        op: impl Into<Option<OpId>> + Send,
        mut args: Args,
    ) -> Result<Reply, StoreError> {
        let args = match self.past.told_last().filter(|_| self.is_told) {
            Some((founding, end)) => {
                args.bytes(&unspelled(&founding)).number(end.0);
                args
            }
            None => args.told_nothing(),
        };
        let reply = self.change(Request::Script { script, args, purpose: Purpose::Take }, op.into()).await?;
        if reply.begins_with(b"behind") { Err(unavailable(Behind)) } else { Ok(reply) }
    }

    async fn change(&self, request: Request<'_>, op: Option<OpId>) -> Result<Reply, StoreError> {
        let tried = self.request(request).await;
        let (value, step) = tried.map_err(|failed| match failed {
            Failed { maybe_applied: true, why: Why::Met(error) | Why::Unseen(error) } => unknown(op, error),
            Failed { maybe_applied: true, why: Why::Broken(fault) } => unknown(op, fault),
            Failed { maybe_applied: true, why: Why::Behind } => unknown(op, Behind),
            Failed { maybe_applied: false, why } => why.not_applied(),
        })?;
        Reply::of(value, step, self.record_format)
    }

    /// A script that changes nothing that anybody has to know of.
    pub(super) async fn read(&self, script: &Script, args: Args) -> Result<Reply, StoreError> {
        self.asked(Request::Script { script, args, purpose: Purpose::Read }).await
    }

    /// One command outside any script that changes nothing. It is sent again if its answer got lost.
    pub(super) async fn look(&self, command: Cmd) -> Result<Reply, StoreError> {
        self.asked(Request::Look(command)).await
    }

    async fn asked(&self, request: Request<'_>) -> Result<Reply, StoreError> {
        let tried = self.request(request).await;
        let (value, step) = tried.map_err(|failed| failed.why.not_applied())?;
        Reply::of(value, step, self.record_format)
    }

    /// How far the namespace has come.
    pub(super) async fn history(&self) -> Result<History, StoreError> {
        let (founding, end) = history_in(&mut self.look(self.how_far()).await?)?;
        Ok(self.past.hears(founding, end))
    }

    /// The same by the answer to a sign of life, from which whoever gave it learns what was lost.
    pub(super) fn tell(&self, answer: &mut Reply) -> Result<History, StoreError> {
        let (founding, end) = history_in(answer)?;
        Ok(self.past.tells(founding, end))
    }

    /// Whether something was lost of which those who give signs of life were not told yet.
    pub(super) fn is_behind(&self) -> bool {
        self.is_told && self.past.is_untold()
    }

    /// A connection of its own, for requests that block.
    pub(super) async fn blocking(&self, answering: Duration) -> Result<MultiplexedConnection, StoreError> {
        connect(&self.place, answering).await.map_err(unavailable)
    }

    /// Whether a write counts only when replicas have it.
    pub(super) const fn is_replicated(&self) -> bool {
        match self.promise.durability() {
            Durability::Replicated { .. } => true,
            Durability::Cache | Durability::Single => false,
        }
    }

    /// What kept the server from being fit when it was looked at last.
    pub(super) fn fault(&self) -> Option<Unsuitable> {
        self.promise.fault()
    }

    async fn request(&self, request: Request<'_>) -> Result<Answered, Failed> {
        let begun = Instant::now();
        let mut pause = PAUSE;
        let mut maybe_applied = false;
        // Nobody waits for a server that did not answer others for a while: one try tells whether it is back. The same
        // goes for replicas that did not have the writes of others.
        let is_in_vain = self.silence.is_known() || (request.writes() && self.lacking.is_known());
        let most = if is_in_vain { Duration::ZERO } else { self.patience };
        loop {
            let mut patience = most;
            let why = match self.connection().await {
                Ok((connection, step)) => {
                    let why = match self.try_once(connection, &request).await {
                        Ok(value) => {
                            self.silence.is_over();
                            if request.writes() {
                                self.lacking.is_over();
                            }
                            return Ok((value, step));
                        }
                        Err(why) => why,
                    };
                    match why.verdict() {
                        Verdict::Unacknowledged => {
                            maybe_applied = true;
                            self.lacking.goes_on();
                        }
                        Verdict::Lost => {
                            maybe_applied |= matches!(why, Why::Met(_));
                            step.lose();
                            self.silence.goes_on();
                        }
                        Verdict::Demoted | Verdict::Leaderless => step.lose(),
                        Verdict::Busy | Verdict::NotLoaded => {}
                        Verdict::Full
                        | Verdict::Halted
                        | Verdict::Forbidden
                        | Verdict::Damaged
                        | Verdict::Other => {
                            return Err(Failed { maybe_applied, why });
                        }
                    }
                    why
                }
                Err(error) => {
                    // Whoever asks for something new is told soon that nobody is there.
                    let will_be = matches!(Verdict::on(&error), Verdict::Busy | Verdict::Leaderless);
                    if !maybe_applied && !will_be {
                        patience = patience.min(ABSENT);
                    }
                    self.silence.goes_on();
                    Why::Unseen(error)
                }
            };
            if begun.elapsed() + pause >= patience {
                return Err(Failed { maybe_applied, why });
            }
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn try_once(
        &self,
        mut connection: MultiplexedConnection,
        request: &Request<'_>,
    ) -> Result<Value, Why> {
        let (script, args, purpose) = match request {
            Request::Look(command) => return command.query_async(&mut connection).await.map_err(Why::Met),
            Request::Script { script, args, purpose } => (script, args, purpose),
        };
        let durability = match purpose {
            Purpose::Read => Durability::Cache,
            Purpose::Take if self.is_behind() => return Err(Why::Behind),
            Purpose::Write | Purpose::Take => {
                if let Some(fault) = self.promise.broken(&mut connection).await.map_err(Why::Unseen)? {
                    return Err(Why::Broken(fault));
                }
                self.promise.durability()
            }
        };
        self.eval_once(connection, script, args, durability).await.map_err(Why::Met)
    }

    async fn eval_once(
        &self,
        mut connection: MultiplexedConnection,
        script: &Script,
        args: &Args,
        durability: Durability,
    ) -> Result<Value, RedisError> {
        let now = self.now();
        if let Some(hash) = script.hash() {
            let answer = send(&mut connection, &self.command(hash, &now, args), durability).await;
            match answer {
                Err(error) if Verdict::on(&error) == Verdict::NotLoaded => {}
                answer => return answer,
            }
        }
        let hash = load(&mut connection, script).await?;
        send(&mut connection, &self.command(&hash, &now, args), durability).await
    }

    fn command(&self, hash: &str, now: &str, args: &Args) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(1).arg(&self.prefix).arg(now);
        for arg in args.iter() {
            command.arg(arg);
        }
        command
    }

    /// The connection, made anew if there is none.
    async fn connection(&self) -> Result<Live, RedisError> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let _alone = match self.connecting.try_lock() {
            Ok(alone) => alone,
            Err(_) if self.silence.is_known() => return Err(away()),
            Err(_) => self.connecting.lock().await,
        };
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let mut connection = connect(&self.place, ANSWERING).await?;
        self.promise.look(&mut connection).await?;
        self.past.meets(self.standing(&mut connection).await?);
        let live = (connection, Step::default());
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    /// How far the namespace has come where a connection leads, and to whom, as far as that may have lost something.
    async fn standing(&self, connection: &mut MultiplexedConnection) -> Result<History, RedisError> {
        let told: Result<(Option<Vec<u8>>, Option<u64>), _> = self.how_far().query_async(connection).await;
        let (founding, end) = match told {
            // The script that founds says which key is damaged.
            Err(error) if Verdict::on(&error) == Verdict::Damaged => (None, None),
            told => told?,
        };
        let server = if self.may_forget() { run_id(connection).await? } else { String::new() };
        Ok(History { founding: founding.map(spelled), server, end: Cursor(end.unwrap_or(0)) })
    }

    fn how_far(&self) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}meta", self.prefix)).arg("founded").arg("cursor");
        command
    }

    /// Whether a server that takes over, or begins anew, may lack what was acknowledged before.
    fn may_forget(&self) -> bool {
        match self.promise.durability() {
            Durability::Cache => true,
            // What may be promoted has all that was acknowledged, or is not there.
            Durability::Single | Durability::Replicated { .. } => false,
        }
    }

    fn live(&self) -> Option<Live> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.take_if(|(_, step)| step.is_lost());
        live.clone()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What is asked of the server.
enum Request<'a> {
    /// A command that only reads.
    Look(Cmd),
    Script {
        script: &'a Script,
        args: Args,
        purpose: Purpose,
    },
}

impl Request<'_> {
    /// Whether it changes what the server then has to keep.
    const fn writes(&self) -> bool {
        match self {
            Self::Look(_) | Self::Script { purpose: Purpose::Read, .. } => false,
            Self::Script { purpose: Purpose::Write | Purpose::Take, .. } => true,
        }
    }
}

/// What a script is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To change nothing that anybody has to know of.
    Read,
    /// To change something, which the server then has to keep as it was promised.
    Write,
    /// The same with what may be another's.
    Take,
}

/// Why a request has no answer.
struct Failed {
    /// An earlier try may have been applied.
    maybe_applied: bool,
    why: Why,
}

/// What a try met.
enum Why {
    /// An error, of the connection or of the server.
    Met(RedisError),
    /// An error at the look at the server that comes before it; nothing was sent.
    Unseen(RedisError),
    /// A server that cannot keep what it would have to; nothing was sent.
    Broken(Unsuitable),
    /// A server that lost something that nobody was told of yet; nothing was sent.
    Behind,
}

impl Why {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Met(error) | Self::Unseen(error) => Verdict::on(error),
            Self::Broken(fault) => Verdict::on_fault(fault),
            Self::Behind => Verdict::Other,
        }
    }

    /// The error for a request that surely left nothing behind.
    fn not_applied(self) -> StoreError {
        match self {
            Self::Met(error) | Self::Unseen(error) => not_applied(error),
            Self::Broken(fault) => StoreError::ReadOnly { why: fault.to_string() },
            Self::Behind => unavailable(Behind),
        }
    }
}

/// What a request meets while somebody else tries whether the server is back.
fn away() -> RedisError {
    RedisError::from(std::io::Error::other("the server does not answer"))
}

/// Reads the mark of the founding and the place after the newest event.
fn history_in(reply: &mut Reply) -> Result<(Option<String>, Cursor), StoreError> {
    let founding = reply.optional_bytes()?.map(spelled);
    let end = reply.optional_signed()?.and_then(|end| u64::try_from(end).ok()).unwrap_or(0);
    Ok((founding, Cursor(end)))
}

pub(super) async fn connect(place: &Place, answering: Duration) -> Result<MultiplexedConnection, RedisError> {
    dial(&place.client().await?, answering).await
}

/// A connection to this very server.
pub(super) async fn dial(
    client: &redis::Client,
    answering: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(Some(answering));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Sends a command, and waits for as many replicas as have to have what it did. A script that finds what was done before
/// writes something all the same: a server waits for nothing but what was written over this connection.
async fn send(
    connection: &mut MultiplexedConnection,
    command: &Cmd,
    durability: Durability,
) -> Result<Value, RedisError> {
    let replicas = match durability {
        Durability::Cache | Durability::Single => return command.query_async(connection).await,
        Durability::Replicated { replicas } => replicas.get(),
    };
    let mut both = redis::pipe();
    both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(REPLICATING.as_millis() as u64);
    let (answer, reached): (Value, u32) = both.query_async(connection).await?;
    if reached >= replicas {
        return Ok(answer);
    }
    let what = format!("{reached} of {replicas} replicas have it");
    Err(RedisError::from((ErrorKind::Client, "a write did not reach every replica", what)))
}

async fn load(connection: &mut MultiplexedConnection, script: &Script) -> Result<String, RedisError> {
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(script.source).query_async(connection).await?;
    script.loaded(hash.clone());
    Ok(hash)
}
