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
/// Timeout of one request; afterwards the request is sent again.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time to wait for the replicas after one write. The next try waits again.
const REPLICATING: Duration = Duration::from_secs(1);
/// Maximum time to wait for a server that is loading its data.
const LOADING: Duration = Duration::from_secs(30);
/// First delay between two tries.
const RETRY_DELAY: Duration = Duration::from_millis(25);
/// Maximum delay between two tries.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(400);

/// One shared connection that is reopened when it is lost. All requests that do not block are multiplexed over it.
pub(super) struct RedisConnection {
    place: Endpoint,
    prefix: String,
    clock: Option<Arc<dyn Clock>>,
    time_limit: Duration,
    promise: DurabilityCheck,
    live: Mutex<Option<LiveConnection>>,
    /// Held by the task that opens the connection.
    connecting: tokio::sync::Mutex<()>,
    silence: OutageDetector,
    past: HistoryGuard,
    /// True if data loss is reported by lease renewals, which requires leases that expire.
    is_told: bool,
    /// Newest record format that this node reads.
    pub(super) record_format: u32,
    /// Detects that writes have not reached all required replicas for some time.
    lacking: OutageDetector,
}

/// A connection with its flag for lost or out of step.
type LiveConnection = (MultiplexedConnection, DesyncFlag);

/// A reply, with the flag of its connection.
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

    /// Returns the time to pass to scripts; empty if the time of the server is used.
    fn now(&self) -> String {
        self.clock.as_ref().map(|clock| clock.now().0.to_string()).unwrap_or_default()
    }

    /// Loads every script once the server has loaded its data.
    pub(super) async fn load_scripts(&self) -> Result<(), StoreError> {
        let mut connection = self.loaded().await?;
        for script in ALL {
            load(&mut connection, script).await.map_err(not_applied)?;
        }
        Ok(())
    }

    /// Returns the connection once the server has loaded its data.
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

    /// Runs a script that changes data. The script is sent again if its answer was lost, so every script is safe to run
    /// twice.
    pub(super) async fn write(
        &self,
        script: &LuaScript,
        op: impl Into<Option<OpId>> + Send,
        args: ScriptArgs,
    ) -> Result<ScriptReply, StoreError> {
        self.change(RedisRequest::Script { script, args, purpose: ScriptPurpose::Write }, op.into()).await
    }

    /// Runs a script that may take processes of other nodes. Fails while a data loss is not reported yet. The script
    /// itself also compares the namespace with the last reported position, because the namespace can be emptied during
    /// a connection.
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

    /// Runs a script that changes nothing which other nodes must know.
    pub(super) async fn read(&self, script: &LuaScript, args: ScriptArgs) -> Result<ScriptReply, StoreError> {
        self.asked(RedisRequest::Script { script, args, purpose: ScriptPurpose::Read }).await
    }

    /// Runs a single read command without a script. The command is sent again if its answer was lost.
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

    /// Returns the history position from the answer to a lease renewal, which reports all losses so far to the caller.
    pub(super) fn tell(&self, answer: &mut ScriptReply) -> Result<History, StoreError> {
        let (incarnation, end) = history_in(answer)?;
        Ok(self.past.note_renewal(incarnation, end))
    }

    /// Returns true if a data loss was not reported by a lease renewal yet.
    pub(super) fn is_behind(&self) -> bool {
        self.is_told && self.past.is_unconfirmed()
    }

    /// Opens a separate connection for requests that block.
    pub(super) async fn blocking(&self, answering: Duration) -> Result<MultiplexedConnection, StoreError> {
        connect(&self.place, answering).await.map_err(unavailable)
    }

    /// Returns true if a write counts only once replicas have it.
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
        // During a known outage one try is enough to see if the server is back. The same applies to writes while
        // replicas are missing.
        let is_in_vain = self.silence.is_known() || (request.writes() && self.lacking.is_known());
        let limit = if is_in_vain { Duration::ZERO } else { self.time_limit };
        loop {
            let mut time_limit = limit;
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
                            self.lacking.note_success();
                        }
                        RedisFailureClass::Lost => {
                            maybe_applied |= matches!(why, SendError::Met(_));
                            step.lose();
                            self.silence.note_success();
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
                    // Fail a new request early, because no server is reachable.
                    let will_be = matches!(
                        RedisFailureClass::on(&error),
                        RedisFailureClass::Busy | RedisFailureClass::Leaderless
                    );
                    if !maybe_applied && !will_be {
                        time_limit = time_limit.min(ABSENT);
                    }
                    self.silence.note_success();
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

    /// Returns the connection and opens it if necessary.
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

    /// Reads the history position of the namespace over a new connection. The run id of the server is included where
    /// another server may lack data.
    async fn fetch_history(&self, connection: &mut MultiplexedConnection) -> Result<History, RedisError> {
        let told: Result<(Option<Vec<u8>>, Option<u64>), _> = self.how_far().query_async(connection).await;
        let (incarnation, end) = match told {
            // The script that creates the namespace reports which key is damaged.
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
            // With these levels, a promoted or restarted server has all acknowledged writes.
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

/// Returns the error for a request while another task checks if the server is back.
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

/// Opens a connection to exactly this server.
pub(super) async fn dial(
    client: &redis::Client,
    answering: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(Some(answering));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Sends a command and waits until the required number of replicas has its writes. A script that only finds an earlier
/// result also writes something, because `WAIT` covers only writes of this connection.
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
