//! The command `longhaul serve`, which runs a manager.

mod descriptors;
mod network;
mod signals;
mod socket;

pub use network::ListenError;

use crate::compose::{ComposedParts, HostContext, address, compose, peer_gate, peers, start_notifications};
use crate::config::{ConfigSources, Flags, ManagerConfig, RulesFault};
use crate::enclosing_shim::announce;
use crate::failure::ProgramError;
use crate::lock::{LockError, ManagerLock};
use crate::log;
use crate::panic_guard;
use crate::previous_node;
use crate::reserve::ReserveRelease;
use crate::state_dir_guard::{CheckedStore, LostResource, StateDirGuard};
use crate::stores::Stores;
use descriptors::Descriptors;
use longhaul_api::runner::{RunnerHost, RunnerSet};
use longhaul_api::{Api, InstrumentedStore, LaunchDefaults, Metrics, PeerClient};
use longhaul_client::{MCP_SOCKET, SOCKET, StateDir};
use longhaul_engine::ports::{NodeAdvertisement, NodeDescriptor};
use longhaul_engine::{Engine, Shutdown};
use longhaul_failpoint::{VARIABLES, crashpoint};
use longhaul_http::{Network, OpenConnections, SocketLimits};
use longhaul_mcp::McpInterface;
use longhaul_wire::api::{PROTOCOL, RetentionView, VersionReply};
use network::NetworkListeners;
use rustix::fs::Mode;
use signals::ShutdownSignals;
use socket::Socket;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Options of `longhaul serve`.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Path of the state directory.
    pub state_dir: PathBuf,
    /// Configuration values from the command line.
    pub flags: Flags,
    /// Path of the log file. If `None`, the log is written to stderr.
    pub log: Option<PathBuf>,
    /// True if a client started the manager. The client may exit before the manager.
    pub autostarted: bool,
    /// Number of `-v` flags; each flag adds more detail to the log.
    pub verbosity: u8,
    /// Kinds of stores that the program added.
    pub stores: Stores,
}

/// Maximum time that open requests and streams get to finish after the engine has shut down.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
/// Maximum time that an automatically started manager waits for a previous manager to exit.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(4);
/// Number of runtime threads. Few threads are enough, because a manager mostly waits.
const THREADS: usize = 2;
/// Environment variables that may contain secrets and are not passed to commands.
const SECRET: &[&str] = &["LONGHAUL_STORE"];

/// Runs the manager of a state directory until it receives a signal to end.
///
/// # Errors
/// [`ProgramError`] if the manager cannot start or cannot shut down cleanly.
pub fn serve(order: &ServeOptions) -> Result<(), ProgramError> {
    if order.autostarted {
        // This call fails only if this program is the leader of a process group. In this case, the program needs no new
        // session.
        let _ = rustix::process::setsid();
    }
    let state = StateDir::prepare(&order.state_dir)?;
    if let Some(path) = &order.log {
        match log::redirect(path, &order.state_dir) {
            // On a full disk, the manager runs without a log file.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            redirected => redirected.map_err(|source| ProgramError::Log { path: path.clone(), source })?,
        }
    }
    let _telling = log::begin(order.verbosity);
    panic_guard::guard();
    let layers = ConfigSources::of(state.path(), order.flags.clone()).read()?;
    let settings = ManagerConfig::knowing(&layers, state.path(), &order.stores)?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let Some(lock) = lock(&state, order.autostarted)? else {
        return Ok(());
    };
    let state_dir_guard =
        StateDirGuard::of(&state, &lock).map_err(system("inspect the lock on the state directory"))?;
    make_room(&state);
    announce(|name| std::env::var_os(name));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(system("start the async runtime"))?;
    let descriptors = descriptors::raise();
    let around =
        HostContext { stores: order.stores.clone(), adopt_orphans: true, open_files: descriptors.given };
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            // All work in progress is abandoned immediately, as in a crash, because further writes could end up in the
            // directory of another manager.
            () = state_dir_guard.lost() => Err(displaced(&state, state_dir_guard.loss())),
            ended = manage(&state, &settings, &around, descriptors, order.autostarted, &state_dir_guard) => ended,
        }
    });
    if state_dir_guard.is_lost() {
        runtime.shutdown_background();
    }
    ended.map_err(|failure| of_full_disk(&state, failure))
}

fn displaced(state: &StateDir, loss: Option<LostResource>) -> ProgramError {
    let failure = match loss {
        Some(LostResource::Store(path)) => ProgramError::Unstored { path },
        Some(LostResource::StateDir) | None => ProgramError::Displaced { state_dir: state.path().to_owned() },
    };
    tracing::error!(
        "{failure}; the manager acknowledges no further writes and exits; its processes continue"
    );
    failure
}

/// Makes sure that the manager can start on a full disk, because the user needs it to control running processes.
fn make_room(state: &StateDir) {
    match ReserveRelease::prepare(state) {
        Ok(ReserveRelease::Kept) => {}
        Ok(ReserveRelease::Released) => {
            tracing::warn!("the disk is full; the manager released a part of its disk reserve to start");
        }
        Ok(ReserveRelease::Spent) => tracing::warn!("the disk is full, and the disk reserve is used up"),
        Err(error) => tracing::warn!(%error, "the disk reserve could not be prepared"),
    }
}

/// Replaces an error of the store or the engine by the error `FullDisk` if the disk is full.
fn of_full_disk(state: &StateDir, failure: ProgramError) -> ProgramError {
    let is_of_store = matches!(failure, ProgramError::Compose(_) | ProgramError::Engine { .. });
    match ProgramError::of_full_disk(state).filter(|_| is_of_store) {
        Some(ProgramError::FullDisk { state_dir, free, .. }) => {
            ProgramError::FullDisk { state_dir, free, source: Some(Box::new(failure)) }
        }
        Some(_) | None => failure,
    }
}

/// Acquires the lock on the state directory. Returns `None` if a client started this manager and another manager
/// already accepts connections.
fn lock(state: &StateDir, autostarted: bool) -> Result<Option<ManagerLock>, LockError> {
    let until = Instant::now() + TAKEOVER_TIMEOUT;
    loop {
        match ManagerLock::take(state) {
            Err(LockError::Held { .. }) if autostarted && state.connect().is_ok() => return Ok(None),
            Err(LockError::Held { .. }) if autostarted && Instant::now() < until => {
                // The kernel cannot wait for the lock with a timeout, so the lock is polled.
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(LockError::Held { state_dir, holder }) if autostarted => {
                return Err(LockError::Silent { state_dir, holder });
            }
            taken => return taken.map(Some),
        }
    }
}

async fn manage(
    state: &StateDir,
    settings: &ManagerConfig,
    around: &HostContext,
    descriptors: Descriptors,
    autostarted: bool,
    state_dir_guard: &StateDirGuard,
) -> Result<(), ProgramError> {
    let mut signals = ShutdownSignals::catch().map_err(system("install its signal handlers"))?;
    let mut doors = NetworkListeners::open(state, &settings.listening, autostarted)?;
    if let Some(doors) = &mut doors {
        doors.guard.peers = peer_gate(settings);
    }
    let urls = doors.as_ref().map_or_else(Vec::new, |doors| doors.urls.clone());
    print_addresses(state, &urls);
    let ComposedParts { mut parts, node, sole_user: _held, mark, test_runs } =
        compose(state, settings, around).await?;
    state_dir_guard.watch_store(&settings.store).map_err(system("watch the files of the store"))?;
    crashpoint!("app.composed");
    let metrics = Metrics::default();
    metrics.set_detection_deadline(settings.detection_deadline);
    let store = CheckedStore::new(parts.store, state_dir_guard.clone(), mark);
    parts.store = Arc::new(InstrumentedStore::new(Arc::new(store), parts.clock.clone(), metrics.clone()));
    let peers = peers(settings, &node.boot)?;
    if let Some(fault) = settings.failure_rules.fault() {
        tracing::error!("{fault}; only the built-in rules are used; {}", RulesFault::HELP);
    }
    let at = EngineAddress {
        socket: Some(state.socket().to_string_lossy().into_owned()),
        address: Some(address(state, settings, &urls)),
    };
    let engine = Engine::start(parts, engine_settings(at, settings, node, test_runs)).await;
    let engine = engine.map_err(ProgramError::of_start)?;
    crashpoint!("app.engine");
    // The node name is recorded only after the store has accepted it.
    if let Err(error) = previous_node::note(state, &settings.node) {
        tracing::warn!("{error}: {}", error.source);
    }
    metrics.follow(&engine);
    let api = Api { peers, ..api(&engine, state, settings, &urls, metrics) };
    start_notifications(&api, state, &settings.outgoing);
    let mcp = open_mcp(state, &api);
    // A client that starts a manager waits for the main socket. It may then use the agent socket immediately, so the
    // agent socket is opened first.
    let agents = Socket::bind(state, state_dir_guard, MCP_SOCKET)
        .map_err(system("listen on the MCP socket for agents"))?;
    let (mut agents_socket, agents) = agents;
    let socket = Socket::bind(state, state_dir_guard, SOCKET).map_err(system("listen on the main socket"))?;
    let (mut socket, listener) = socket;
    let router = longhaul_http::router(api);
    greet(state, settings, &urls);
    crashpoint!("app.ready");
    let connections = descriptors.for_connections(if doors.is_some() { 3 } else { 2 });
    let (end_all, told) = watch::channel(false);
    let mut serving = JoinSet::new();
    let me = rustix::process::geteuid().as_raw();
    let mut bounds = SocketLimits::for_user(me);
    bounds.connections = connections.min(bounds.connections);
    serving.spawn(longhaul_http::serve(listener, router.clone(), bounds, until(told.clone())));
    if let Some(NetworkListeners { listeners, guard, tls, .. }) = doors {
        let mut network = Network::new(router.clone(), guard.clone(), tls, connections);
        if let Some(mcp) = &mcp {
            let service = |read_only| mcp.http_service(network::mcp_door(&guard, &urls, read_only));
            network = network.with_mcp(service(false), service(true));
        }
        for listener in listeners {
            serving.spawn(longhaul_http::serve_network(listener, network.clone(), until(told.clone())));
        }
    }
    let mut agents_served = JoinSet::new();
    let mut agent_bounds = longhaul_mcp::ListenerLimits::for_user(me);
    agent_bounds.connections = connections.min(agent_bounds.connections);
    if let Some(mcp) = mcp.clone() {
        agents_served.spawn(mcp.serve(agents, agent_bounds, until(told.clone())));
    }
    loop {
        // If a socket file was removed, the socket is bound again. Existing connections are not affected.
        tokio::select! {
            () = signals.end() => break,
            () = engine.replaced() => {
                // The engine is abandoned immediately, as in a crash, because further writes would change records of
                // the other manager.
                engine.abandon();
                remove_address_file(state);
                let failure = ProgramError::Replaced { node: settings.node.clone() };
                tracing::error!("{failure}; the manager exits; its processes continue");
                return Err(failure);
            }
            listener = socket.bound_again(state, state_dir_guard) => {
                serving.spawn(longhaul_http::serve(listener, router.clone(), bounds, until(told.clone())));
            }
            listener = agents_socket.bound_again(state, state_dir_guard) => {
                if let Some(mcp) = mcp.clone() {
                    agents_served.spawn(mcp.serve(listener, agent_bounds, until(told.clone())));
                }
            }
        }
    }
    end_all.send_replace(true);
    let open = serving.join_all().await;
    remove_address_file(state);
    let ended = end(&engine, settings.stop_processes, &mut signals).await;
    let closing: JoinSet<()> =
        open.into_iter().map(|open: OpenConnections| open.close(DRAIN_TIMEOUT)).collect();
    closing.join_all().await;
    agents_served.join_all().await;
    ended.map_err(|source| ProgramError::Engine { source })
}

/// Waits until the manager is shutting down.
async fn until(mut told: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which happens only when the manager ends.
    let _ = told.wait_for(|told| *told).await;
}

/// Removes the sockets and the file with the network addresses, so that clients no longer find the manager.
fn remove_address_file(state: &StateDir) {
    for name in [SOCKET, MCP_SOCKET] {
        if let Err(error) = state.remove_socket_at(name) {
            tracing::warn!(%error, name, "the socket could not be removed");
        }
    }
    print_addresses(state, &[]);
}

/// Writes the network addresses of the manager to a file for clients. If the write fails, logs a warning.
fn print_addresses(state: &StateDir, urls: &[String]) {
    if let Err(error) = network::write_addresses(state, urls) {
        tracing::warn!(%error, "the file with the network addresses could not be written");
    }
}

/// Shuts the engine down. If the configuration says so, stops all processes first; a second signal ends the wait for
/// these processes.
async fn end(
    engine: &Engine,
    stop_processes: bool,
    signals: &mut ShutdownSignals,
) -> Result<(), longhaul_engine::EngineError> {
    if stop_processes {
        tracing::info!("the manager is shutting down and stops all processes first");
        tokio::select! {
            stopped = engine.shut_down(Shutdown::StopAll) => return stopped,
            () = signals.end() => tracing::warn!("the manager received a second stop signal; it leaves the running \
             processes to the next manager"),
        }
    } else {
        tracing::info!("the manager is shutting down; its processes continue");
    }
    engine.shut_down(Shutdown::Leave).await
}

/// Opens the MCP interface for agents. Returns `None` if this fails, because the manager also works without MCP.
fn open_mcp(state: &StateDir, api: &Api) -> Option<McpInterface> {
    McpInterface::open(api.clone(), state.path())
        .inspect_err(|error| tracing::error!(%error, "the MCP interface for agents could not be opened"))
        .ok()
}

/// Addresses at which an engine can be reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct EngineAddress {
    /// Path of the socket through which commands that the engine runs can reach the manager.
    pub(crate) socket: Option<String>,
    /// URL at which other nodes reach the engine.
    pub(crate) address: Option<String>,
}

/// Converts the configuration of a manager to the settings of its engine.
pub(crate) fn engine_settings(
    at: EngineAddress,
    settings: &ManagerConfig,
    node: NodeDescriptor,
    test_runs: longhaul_engine::TestRunSettings,
) -> longhaul_engine::EngineSettings {
    longhaul_engine::EngineSettings {
        node,
        offer: NodeAdvertisement {
            labels: settings.labels.clone(),
            address: at.address,
            roots: Some(settings.max_parallel).filter(|roots| *roots > 0),
        },
        lease_renew_interval: longhaul_engine::EngineSettings::DEFAULT_LEASE_RENEW_INTERVAL,
        max_parallel: settings.max_parallel,
        tree: settings.tree,
        policy: Some(settings.policy.clone()),
        socket: at.socket,
        default_key: settings.default_key.clone(),
        hidden: SECRET.iter().chain(VARIABLES).map(|name| (*name).to_owned()).collect(),
        level_limits: settings.level_limits.clone(),
        retention: settings.retention,
        retention_bytes: settings.retention_bytes,
        output_total: settings.output_total,
        silence: settings.silence,
        test_runs,
        output_tail_bytes: settings.tail_beside_record,
        artifacts: settings.artifacts,
        failure_rules: settings.failure_rules.own().cloned(),
    }
}

fn api(
    engine: &Engine,
    state: &StateDir,
    settings: &ManagerConfig,
    urls: &[String],
    metrics: Metrics,
) -> Api {
    Api {
        engine: engine.clone(),
        about: Arc::new(VersionReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            pid: std::process::id(),
            state_dir: state.path().display().to_string(),
            store: settings.store.to_string(),
            node_id: settings.node.to_string(),
            listen: urls.to_vec(),
        }),
        defaults: LaunchDefaults {
            grace: settings.grace,
            output: settings.output,
            children: settings.children,
            children_on_failure: settings.children_on_failure,
            on_session_end: settings.on_session_end,
            session_grace: settings.session_grace,
            watch: settings.watch.clone(),
            progress: settings.progress.clone(),
            no_queue: settings.refuse_when_full,
            runners: Arc::new(runners(state, settings)),
        },
        retention: settings.retention.map(|rule| RetentionView {
            age_ms: rule.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            count: rule.count,
            bytes: settings.retention_bytes,
        }),
        metrics,
        relay: longhaul_api::EventBroadcast::default(),
        notice_window: settings.outgoing.window,
        peers: PeerClient::none(),
    }
}

/// Search path for the programs of agents if the environment of the manager has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn runners(state: &StateDir, settings: &ManagerConfig) -> RunnerSet {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let host = RunnerHost {
        program: client_program().and_then(|path| path.to_str().map(str::to_owned)),
        state_dir: state.path().display().to_string(),
        path: variable("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned()),
        home: variable("HOME").filter(|home| home.starts_with('/')),
    };
    RunnerSet::new(settings.runners.runners.iter().cloned(), settings.runners.default.clone(), host)
}

/// Returns the path of the client program: `longhaul` in the directory of this program. If this file does not exist,
/// returns the path of this program.
fn client_program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let beside = own.with_file_name("longhaul");
    Some(if beside.is_file() { beside } else { own })
}

/// Writes one line to stderr to announce that the manager is ready.
fn greet(state: &StateDir, settings: &ManagerConfig, urls: &[String]) {
    let also: String = urls.iter().map(|url| format!(", {url}")).collect();
    let line = format!(
        "longhaul {} is ready: {}{also} (process {}, node {}, store {})\n",
        env!("CARGO_PKG_VERSION"),
        state.socket().display(),
        std::process::id(),
        settings.node,
        settings.store,
    );
    // The announcement is optional, so a write error is ignored.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn system(tried: &'static str) -> impl Fn(io::Error) -> ProgramError {
    move |source| ProgramError::System { tried, source }
}
