//! The connection to the server, and the requests that use it.

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

/// Timeout of a connection attempt.
const CONNECTING: Duration = Duration::from_secs(1);
/// Timeout of one request. After this time the request is sent again.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time to wait until the replicas have received one write. Each retry of the write waits again.
const REPLICATING: Duration = Duration::from_secs(1);
/// Maximum time to wait for a server that is loading its data.
const LOADING: Duration = Duration::from_secs(30);
/// Delay before the first retry.
const RETRY_DELAY: Duration = Duration::from_millis(25);
/// Maximum delay before a retry.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(400);

/// One shared connection, which is opened again when it is lost. All non-blocking requests are multiplexed over it.
pub(super) struct RedisConnection {
    place: Endpoint,
    prefix: String,
    clock: Option<Arc<dyn Clock>>,
    time_limit: Duration,
    promise: DurabilityCheck,
    live: Mutex<Option<LiveConnection>>,
    /// Lock that is held by the task that opens the connection.
    connecting: tokio::sync::Mutex<()>,
    silence: OutageDetector,
    past: HistoryGuard,
    /// True if lease renewals report data loss. This requires leases that expire.
    is_told: bool,
    /// Newest record format that this node can read.
    pub(super) record_format: u32,
    /// Detects that for some time no write has reached all required replicas.
    lacking: OutageDetector,
}

/// A connection, with the flag that marks it as unusable.
type LiveConnection = (MultiplexedConnection, DesyncFlag);

/// A reply, with the flag that marks its connection as unusable.
type RedisReply = (Value, DesyncFlag);

impl RedisConnection {
    pub(super) fn new(place: Endpoint, options: &RedisOptions) -> Self {
        Self {
            place,
            prefix: options.prefix(),
            clock: options.clock.clone(),
            time_limit: options.time_limit,
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

    /// Returns the time to pass to scripts as an argument; empty if the scripts use the time of the server.
    fn now(&self) -> String {
        self.clock.as_ref().map(|clock| clock.now().0.to_string()).unwrap_or_default()
    }

    /// Waits until the server has loaded its data, and loads every script.
    pub(super) async fn load_scripts(&self) -> Result<(), StoreError> {
        let mut connection = self.loaded().await?;
        for script in ALL {
            load(&mut connection, script).await.map_err(not_applied)?;
        }
        Ok(())
    }

    /// Waits until the server has loaded its data, and returns the connection.
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

    /// Runs a script that changes data. If the answer is lost, the script is sent again, so every script must be safe
    /// to run twice.
    pub(super) async fn write(
        &self,
        script: &LuaScript,
        op: impl Into<Option<OpId>> + Send,
        args: ScriptArgs,
    ) -> Result<ScriptReply, StoreError> {
        self.change(RedisRequest::Script { script, args, purpose: ScriptPurpose::Write }, op.into()).await
    }

    /// Runs a script that may take processes of other nodes. Fails if a data loss is not reported yet. The script also
    /// compares the position of the namespace with the last reported position, because the namespace can be emptied
    /// while the connection is open.
    pub(super) async fn take(
        &self,
        script: &LuaScript,
        op: impl Into<Option<OpId>> + Send,
        mut args: ScriptArgs,
    ) -> Result<ScriptReply, StoreError> {
        let args = match self.past.last_report().filter(|_| self.is_told) {
            Some((incarnation, end)) => {
                args.bytes(&unspelled(&incarnation)).number(end.0);
                args
            }
            None => args.without_seen_position(),
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

    /// Runs a script that makes no changes that other nodes need to receive.
    pub(super) async fn read(&self, script: &LuaScript, args: ScriptArgs) -> Result<ScriptReply, StoreError> {
        self.asked(RedisRequest::Script { script, args, purpose: ScriptPurpose::Read }).await
    }

    /// Runs a single read command without a script. If the answer is lost, the command is sent again.
    pub(super) async fn look(&self, command: Cmd) -> Result<ScriptReply, StoreError> {
        self.asked(RedisRequest::Look(command)).await
    }

    async fn asked(&self, request: RedisRequest<'_>) -> Result<ScriptReply, StoreError> {
        let tried = self.request(request).await;
        let (value, step) = tried.map_err(|failed| failed.why.not_applied())?;
        ScriptReply::of(value, step, self.record_format)
    }

    /// Returns the history position of the namespace.
    pub(super) async fn history(&self) -> Result<History, StoreError> {
        let (incarnation, end) = history_in(&mut self.look(self.how_far()).await?)?;
        Ok(self.past.note_answer(incarnation, end))
    }

    /// Returns the history position from the answer to a lease renewal. The renewal also reports all earlier losses to
    /// the caller.
    pub(super) fn tell(&self, answer: &mut ScriptReply) -> Result<History, StoreError> {
        let (incarnation, end) = history_in(answer)?;
        Ok(self.past.note_renewal(incarnation, end))
    }

    /// Returns true if a lease renewal has yet to report a data loss.
    pub(super) fn is_behind(&self) -> bool {
        self.is_told && self.past.is_unconfirmed()
    }

    /// Opens a separate connection for blocking requests.
    pub(super) async fn blocking(&self, answering: Duration) -> Result<MultiplexedConnection, StoreError> {
        connect(&self.place, answering).await.map_err(unavailable)
    }

    /// Returns true if a write is acknowledged only after replicas have received it.
    pub(super) const fn is_replicated(&self) -> bool {
        match self.promise.durability() {
            Durability::Replicated { .. } => true,
            Durability::Cache | Durability::Single => false,
        }
    }

    /// Returns the fault that the last check of the server found.
    pub(super) fn fault(&self) -> Option<UnsuitableServer> {
        self.promise.fault()
    }

    async fn request(&self, request: RedisRequest<'_>) -> Result<RedisReply, RequestError> {
        let begun = Instant::now();
        let mut pause = RETRY_DELAY;
        let mut maybe_applied = false;
        // During a known outage, a single try is enough to find out whether the server is available again. The same
        // applies to writes while replicas are missing.
        let is_in_vain = self.silence.is_known() || (request.writes() && self.lacking.is_known());
        let limit = if is_in_vain { Duration::ZERO } else { self.time_limit };
        loop {
            let mut time_limit = limit;
            let why = match self.connection().await {
                Ok((connection, step)) => {
                    let why = match self.try_once(connection, &request).await {
                        Ok(value) => {
                            self.silence.note_success();
                            if request.writes() {
                                self.lacking.note_success();
                            }
                            return Ok((value, step));
                        }
                        Err(why) => why,
                    };
                    match why.verdict() {
                        RedisFailureClass::Unacknowledged => {
                            maybe_applied = true;
                            self.lacking.note_failure();
                        }
                        RedisFailureClass::Lost => {
                            maybe_applied |= matches!(why, SendError::Met(_));
                            step.lose();
                            self.silence.note_failure();
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
                    // Fail a new request early if no server is reachable.
                    let will_be = matches!(
                        RedisFailureClass::on(&error),
                        RedisFailureClass::Busy | RedisFailureClass::Leaderless
                    );
                    if !maybe_applied && !will_be {
                        time_limit = time_limit.min(ABSENT);
                    }
                    self.silence.note_failure();
                    SendError::Unseen(error)
                }
            };
            if begun.elapsed() + pause >= time_limit {
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

    /// Returns the shared connection. Opens it if necessary.
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
        self.past.meets(self.fetch_history(&mut connection).await?);
        let live = (connection, DesyncFlag::default());
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
        Ok(live)
    }

    /// Reads the history position of the namespace over a new connection. Includes the run id of the server if another
    /// or a restarted server may lack data.
    async fn fetch_history(&self, connection: &mut MultiplexedConnection) -> Result<History, RedisError> {
        let told: Result<(Option<Vec<u8>>, Option<u64>), _> = self.how_far().query_async(connection).await;
        let (incarnation, end) = match told {
            // The error is not returned here, because the script that creates the namespace reports which key is
            // damaged.
            Err(error) if RedisFailureClass::on(&error) == RedisFailureClass::Damaged => (None, None),
            told => told?,
        };
        let server = if self.may_forget() { run_id(connection).await? } else { String::new() };
        Ok(History { incarnation: incarnation.map(spelled), server, end: EventCursor(end.unwrap_or(0)) })
    }

    fn how_far(&self) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}meta", self.prefix)).arg("incarnation").arg("cursor");
        command
    }

    /// Returns true if a promoted or restarted server may lack acknowledged writes.
    fn may_forget(&self) -> bool {
        match self.promise.durability() {
            Durability::Cache => true,
            // With these durability levels, a promoted or restarted server has all acknowledged writes.
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

/// Returns the error for a request that fails while another task is checking whether the server is available again.
fn away() -> RedisError {
    RedisError::from(std::io::Error::other("the server does not answer"))
}

/// Decodes the incarnation id and the cursor after the newest event.
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

/// Opens a connection to this server only.
pub(super) async fn dial(
    client: &redis::Client,
    answering: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(Some(answering));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Sends a command and waits until the required number of replicas has received its writes. A script that only finds
/// the result of an earlier run must also write something, because `WAIT` covers only writes of this connection.
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
    let what = format!("{reached} of {replicas} replicas received the write");
    Err(RedisError::from((ErrorKind::Client, "a write did not reach all replicas", what)))
}

async fn load(connection: &mut MultiplexedConnection, script: &LuaScript) -> Result<String, RedisError> {
    let hash: String = redis::cmd("SCRIPT").arg("LOAD").arg(script.source).query_async(connection).await?;
    script.loaded(hash.clone());
    Ok(hash)
}
