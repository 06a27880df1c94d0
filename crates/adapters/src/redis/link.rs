//! The connection to the server, and the requests that go over it.

use super::Durability;
use super::desync::DesyncFlag;
use super::durability_check::DurabilityCheck;
use super::endpoint::Endpoint;
use super::failure::{RedisFailureClass, not_applied, unavailable, unknown};
use super::history_guard::{HistoryGuard, StoreRegressed, spelled, unspelled};
use super::options::RedisOptions;
use super::outage::{ABSENT, OutageDetector};
use super::reply::ScriptReply;
use super::request::{RedisRequest, RequestError, ScriptPurpose, SendError};
use super::run_id::run_id;
use super::script::{ALL, LuaScript, ScriptArgs};
use super::unsuitable::UnsuitableServer;
use longhaul_domain::OpId;
use longhaul_ports::{Clock, EventCursor, History, StoreError};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, Value};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that does not take a connection in this time is not there.
const CONNECTING: Duration = Duration::from_secs(1);
/// A request without an answer after this time is sent again.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// A replica that does not have a write after this time is waited for once more, with the next try.
const REPLICATING: Duration = Duration::from_secs(1);
/// A server that loads its data for longer is not waited for.
const LOADING: Duration = Duration::from_secs(30);
/// Between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(25);
/// The longest between two tries.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(400);

/// One connection, made anew when it is lost, over which all requests but those that block go at once.
pub(super) struct RedisConnection {
    place: Endpoint,
    prefix: String,
    clock: Option<Arc<dyn Clock>>,
    patience: Duration,
    promise: DurabilityCheck,
    live: Mutex<Option<LiveConnection>>,
    /// Held by whoever connects.
    connecting: tokio::sync::Mutex<()>,
    silence: OutageDetector,
    past: HistoryGuard,
    /// Whether anybody is told of what was lost.
    is_told: bool,
    /// The newest record format that is read.
    pub(super) record_format: u32,
    /// How long no write has reached all replicas that have to have it.
    lacking: OutageDetector,
}

/// The connection, which is given up when it is lost or its answers are out of step.
type LiveConnection = (MultiplexedConnection, DesyncFlag);

/// What was answered, over a connection with this step.
type RedisReply = (Value, DesyncFlag);

impl RedisConnection {
    pub(super) fn new(place: Endpoint, options: &RedisOptions) -> Self {
        Self {
            place,
            prefix: options.prefix(),
            clock: options.clock.clone(),
            patience: options.patience,
            promise: DurabilityCheck::new(options.durability),
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            silence: OutageDetector::default(),
            past: HistoryGuard::default(),
            is_told: options.leases.is_some(),
            record_format: options.record_format,
            lacking: OutageDetector::default(),
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
                Err(error)
                    if RedisFailureClass::on(&error) == RedisFailureClass::Busy
                        && begun.elapsed() < LOADING =>
                {
                    tokio::time::sleep(MAX_RETRY_DELAY).await;
                }
                Err(error) => return Err(not_applied(error)),
            }
        }
    }

    /// A script that changes something. It is sent again if its answer got lost, which is why each of them is safe to
    /// send twice.
    pub(super) async fn write(
        &self,
        script: &LuaScript,
        op: impl Into<Option<OpId>> + Send,
        args: ScriptArgs,
    ) -> Result<ScriptReply, StoreError> {
        self.change(RedisRequest::Script { script, args, purpose: ScriptPurpose::Write }, op.into()).await
    }

    /// The same for one that takes what may be another's; not where something was lost that nobody was told of. The script
    /// compares the namespace with what was told, because one can be emptied or founded again under a connection that lasts.
    pub(super) async fn take(
        &self,
        script: &LuaScript,
        op: impl Into<Option<OpId>> + Send,
        mut args: ScriptArgs,
    ) -> Result<ScriptReply, StoreError> {
        let args = match self.past.told_last().filter(|_| self.is_told) {
            Some((incarnation, end)) => {
                args.bytes(&unspelled(&incarnation)).number(end.0);
                args
            }
            None => args.told_nothing(),
        };
        let reply = self
            .change(RedisRequest::Script { script, args, purpose: ScriptPurpose::Take }, op.into())
            .await?;
        if reply.begins_with(b"behind") { Err(unavailable(StoreRegressed)) } else { Ok(reply) }
    }

    async fn change(&self, request: RedisRequest<'_>, op: Option<OpId>) -> Result<ScriptReply, StoreError> {
        let tried = self.request(request).await;
        let (value, step) = tried.map_err(|failed| match failed {
            RequestError { maybe_applied: true, why: SendError::Met(error) | SendError::Unseen(error) } => {
                unknown(op, error)
            }
            RequestError { maybe_applied: true, why: SendError::Broken(fault) } => unknown(op, fault),
            RequestError { maybe_applied: true, why: SendError::Behind } => unknown(op, StoreRegressed),
            RequestError { maybe_applied: false, why } => why.not_applied(),
        })?;
        ScriptReply::of(value, step, self.record_format)
    }

    /// A script that changes nothing that anybody has to know of.
    pub(super) async fn read(&self, script: &LuaScript, args: ScriptArgs) -> Result<ScriptReply, StoreError> {
        self.asked(RedisRequest::Script { script, args, purpose: ScriptPurpose::Read }).await
    }

    /// One command outside any script that changes nothing. It is sent again if its answer got lost.
    pub(super) async fn look(&self, command: Cmd) -> Result<ScriptReply, StoreError> {
        self.asked(RedisRequest::Look(command)).await
    }

    async fn asked(&self, request: RedisRequest<'_>) -> Result<ScriptReply, StoreError> {
        let tried = self.request(request).await;
        let (value, step) = tried.map_err(|failed| failed.why.not_applied())?;
        ScriptReply::of(value, step, self.record_format)
    }

    /// How far the namespace has come.
    pub(super) async fn history(&self) -> Result<History, StoreError> {
        let (incarnation, end) = history_in(&mut self.look(self.how_far()).await?)?;
        Ok(self.past.hears(incarnation, end))
    }

    /// The same by the answer to a sign of life, from which whoever gave it learns what was lost.
    pub(super) fn tell(&self, answer: &mut ScriptReply) -> Result<History, StoreError> {
        let (incarnation, end) = history_in(answer)?;
        Ok(self.past.tells(incarnation, end))
    }

    /// Whether something was lost of which those who give signs of life were not told yet.
    pub(super) fn is_behind(&self) -> bool {
        self.is_told && self.past.is_unconfirmed()
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
    pub(super) fn fault(&self) -> Option<UnsuitableServer> {
        self.promise.fault()
    }

    async fn request(&self, request: RedisRequest<'_>) -> Result<RedisReply, RequestError> {
        let begun = Instant::now();
        let mut pause = RETRY_DELAY;
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
                        RedisFailureClass::Unacknowledged => {
                            maybe_applied = true;
                            self.lacking.goes_on();
                        }
                        RedisFailureClass::Lost => {
                            maybe_applied |= matches!(why, SendError::Met(_));
                            step.lose();
                            self.silence.goes_on();
                        }
                        RedisFailureClass::Demoted | RedisFailureClass::Leaderless => step.lose(),
                        RedisFailureClass::Busy | RedisFailureClass::NotLoaded => {}
                        RedisFailureClass::Full
                        | RedisFailureClass::Halted
                        | RedisFailureClass::Forbidden
                        | RedisFailureClass::Damaged
                        | RedisFailureClass::Other => {
                            return Err(RequestError { maybe_applied, why });
                        }
                    }
                    why
                }
                Err(error) => {
                    // Whoever asks for something new is told soon that nobody is there.
                    let will_be = matches!(
                        RedisFailureClass::on(&error),
                        RedisFailureClass::Busy | RedisFailureClass::Leaderless
                    );
                    if !maybe_applied && !will_be {
                        patience = patience.min(ABSENT);
                    }
                    self.silence.goes_on();
                    SendError::Unseen(error)
                }
            };
            if begun.elapsed() + pause >= patience {
                return Err(RequestError { maybe_applied, why });
            }
            tokio::time::sleep(pause).await;
            pause = MAX_RETRY_DELAY.min(pause * 2);
        }
    }

    async fn try_once(
        &self,
        mut connection: MultiplexedConnection,
        request: &RedisRequest<'_>,
    ) -> Result<Value, SendError> {
        let (script, args, purpose) = match request {
            RedisRequest::Look(command) => {
                return command.query_async(&mut connection).await.map_err(SendError::Met);
            }
            RedisRequest::Script { script, args, purpose } => (script, args, purpose),
        };
        let durability = match purpose {
            ScriptPurpose::Read => Durability::Cache,
            ScriptPurpose::Take if self.is_behind() => return Err(SendError::Behind),
            ScriptPurpose::Write | ScriptPurpose::Take => {
                if let Some(fault) = self.promise.broken(&mut connection).await.map_err(SendError::Unseen)? {
                    return Err(SendError::Broken(fault));
                }
                self.promise.durability()
            }
        };
        self.eval_once(connection, script, args, durability).await.map_err(SendError::Met)
    }

    async fn eval_once(
        &self,
        mut connection: MultiplexedConnection,
        script: &LuaScript,
        args: &ScriptArgs,
        durability: Durability,
    ) -> Result<Value, RedisError> {
        let now = self.now();
        if let Some(hash) = script.hash() {
            let answer = send(&mut connection, &self.command(hash, &now, args), durability).await;
            match answer {
                Err(error) if RedisFailureClass::on(&error) == RedisFailureClass::NotLoaded => {}
                answer => return answer,
            }
        }
        let hash = load(&mut connection, script).await?;
        send(&mut connection, &self.command(&hash, &now, args), durability).await
    }

    fn command(&self, hash: &str, now: &str, args: &ScriptArgs) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(1).arg(&self.prefix).arg(now);
        for arg in args.iter() {
            command.arg(arg);
        }
        command
    }

    /// The connection, made anew if there is none.
    async fn connection(&self) -> Result<LiveConnection, RedisError> {
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
        let mut connection = connect(&self.place, RESPONSE_TIMEOUT).await?;
        self.promise.look(&mut connection).await?;
        self.past.meets(self.standing(&mut connection).await?);
        let live = (connection, DesyncFlag::default());
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    /// How far the namespace has come where a connection leads, and to whom, as far as that may have lost something.
    async fn standing(&self, connection: &mut MultiplexedConnection) -> Result<History, RedisError> {
        let told: Result<(Option<Vec<u8>>, Option<u64>), _> = self.how_far().query_async(connection).await;
        let (incarnation, end) = match told {
            // The script that founds says which key is damaged.
            Err(error) if RedisFailureClass::on(&error) == RedisFailureClass::Damaged => (None, None),
            told => told?,
        };
        let server = if self.may_forget() { run_id(connection).await? } else { String::new() };
        Ok(History { incarnation: incarnation.map(spelled), server, end: EventCursor(end.unwrap_or(0)) })
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

    fn live(&self) -> Option<LiveConnection> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.take_if(|(_, step)| step.is_lost());
        live.clone()
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a request meets while somebody else tries whether the server is back.
fn away() -> RedisError {
    RedisError::from(std::io::Error::other("the server does not answer"))
}

/// Reads the mark of the founding and the place after the newest event.
fn history_in(reply: &mut ScriptReply) -> Result<(Option<String>, EventCursor), StoreError> {
    let incarnation = reply.optional_bytes()?.map(spelled);
    let end = reply.optional_signed()?.and_then(|end| u64::try_from(end).ok()).unwrap_or(0);
    Ok((incarnation, EventCursor(end)))
}

pub(super) async fn connect(
    place: &Endpoint,
    answering: Duration,
) -> Result<MultiplexedConnection, RedisError> {
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

async fn load(connection: &mut MultiplexedConnection, script: &LuaScript) -> Result<String, RedisError> {
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(script.source).query_async(connection).await?;
    script.loaded(hash.clone());
    Ok(hash)
}
