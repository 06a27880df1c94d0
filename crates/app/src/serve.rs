//! `longhaul serve`: the manager.

mod descriptors;
mod network;
mod signals;
mod socket;

pub use network::ListenError;

use crate::announce::announce;
use crate::compose::{Composed, Surroundings, address, compose, peer_gate, peers, tell_others};
use crate::config::{Flags, Settings, Sources};
use crate::failure::Failure;
use crate::foothold::{Foothold, GuardedStore, Loss};
use crate::last_node;
use crate::lock::{LockError, ManagerLock};
use crate::log;
use crate::reserve::Reserve;
use crate::state_dir::{MCP_SOCKET, SOCKET, StateDir};
use crate::stores::Stores;
use crate::vital;
use descriptors::Descriptors;
use longhaul_api::{Api, LaunchDefaults, Measured, Metrics, Peers};
use longhaul_engine::ports::{NodeFacts, NodeOffer};
use longhaul_engine::{Engine, Shutdown};
use longhaul_failpoint::{VARIABLES, crashpoint};
use longhaul_http::{Bounds, Network, OpenConnections};
use longhaul_mcp::Mcp;
use longhaul_wire::api::{PROTOCOL, RetentionView, Version};
use network::Doors;
use rustix::fs::Mode;
use signals::Signals;
use socket::Socket;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a manager is told at its start.
#[derive(Clone, Debug, Default)]
pub struct Serve {
    /// Its state directory.
    pub state_dir: PathBuf,
    /// What the command line says about the configuration.
    pub flags: Flags,
    /// Where its log goes, if not to standard error.
    pub log: Option<PathBuf>,
    /// A client started it, and will go away.
    pub autostarted: bool,
    /// How much it tells.
    pub verbosity: u8,
    /// Stores that the program knows beside its own.
    pub stores: Stores,
}

/// Requests and streams get this long to come to their end after the engine has.
const FAREWELL: Duration = Duration::from_millis(300);
/// A manager that was started while another one was ending waits this long for its place.
const SUCCESSION: Duration = Duration::from_secs(4);
/// Threads of the runtime: what a manager does is mostly waiting.
const THREADS: usize = 2;
/// Variables of the manager that may hold secrets, and that no child gets.
const SECRET: &[&str] = &["LONGHAUL_STORE"];

/// Is the manager of a state directory until it is told to end.
///
/// # Errors
/// [`Failure`] if it cannot begin, or could not end in good order.
pub fn serve(order: &Serve) -> Result<(), Failure> {
    if order.autostarted {
        // It fails for the leader of a group alone, which needs no other session.
        let _ = rustix::process::setsid();
    }
    let state = StateDir::prepare(&order.state_dir)?;
    if let Some(path) = &order.log {
        match log::redirect(path, &order.state_dir) {
            // Its words are lost, as those of any log on a full disk.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            redirected => redirected.map_err(|source| Failure::Log { path: path.clone(), source })?,
        }
    }
    let _telling = log::begin(order.verbosity);
    vital::guard();
    let layers = Sources::of(state.path(), order.flags.clone()).read()?;
    let settings = Settings::knowing(&layers, state.path(), &order.stores)?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let Some(lock) = lock(&state, order.autostarted)? else {
        return Ok(());
    };
    let foothold = Foothold::of(&state, &lock).map_err(system("look at its lock"))?;
    make_room(&state);
    announce(|name| std::env::var_os(name));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(system("start its runtime"))?;
    let descriptors = descriptors::raise();
    let around =
        Surroundings { stores: order.stores.clone(), adopt_orphans: true, open_files: descriptors.given };
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            // Whatever is under way stops where it is, as in a crash: what it would still write may lie in the
            // directory of another manager.
            () = foothold.lost() => Err(displaced(&state, foothold.loss())),
            ended = manage(&state, &settings, &around, descriptors, order.autostarted, &foothold) => ended,
        }
    });
    if foothold.is_lost() {
        runtime.shutdown_background();
    }
    ended.map_err(|failure| of_full_disk(&state, failure))
}

fn displaced(state: &StateDir, loss: Option<Loss>) -> Failure {
    let failure = match loss {
        Some(Loss::Store(path)) => Failure::Unstored { path },
        Some(Loss::StateDir) | None => Failure::Displaced { state_dir: state.path().to_owned() },
    };
    tracing::error!("{failure}: it acknowledges nothing more and leaves; processes go on");
    failure
}

/// A full disk must not keep a manager from its processes.
fn make_room(state: &StateDir) {
    match Reserve::prepare(state) {
        Ok(Reserve::Kept) => {}
        Ok(Reserve::Released) => {
            tracing::warn!("the disk is full: the manager begins with room from its reserve");
        }
        Ok(Reserve::Spent) => tracing::warn!("the disk is full, and nothing is left of the reserve"),
        Err(error) => tracing::warn!(%error, "no room is kept for a full disk"),
    }
}

/// Says that the disk is full, where that is why nothing works.
fn of_full_disk(state: &StateDir, failure: Failure) -> Failure {
    let is_of_store = matches!(failure, Failure::Compose(_) | Failure::Engine { .. });
    match Failure::of_full_disk(state).filter(|_| is_of_store) {
        Some(Failure::FullDisk { state_dir, free, .. }) => {
            Failure::FullDisk { state_dir, free, source: Some(Box::new(failure)) }
        }
        Some(_) | None => failure,
    }
}

/// Takes the lock; none if another manager answers already and this one was started by a client.
fn lock(state: &StateDir, autostarted: bool) -> Result<Option<ManagerLock>, LockError> {
    let until = Instant::now() + SUCCESSION;
    loop {
        match ManagerLock::take(state) {
            Err(LockError::Held { .. }) if autostarted && state.connect().is_ok() => return Ok(None),
            Err(LockError::Held { .. }) if autostarted && Instant::now() < until => {
                // The kernel can tell nobody without blocking for good.
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
    settings: &Settings,
    around: &Surroundings,
    descriptors: Descriptors,
    autostarted: bool,
    foothold: &Foothold,
) -> Result<(), Failure> {
    let mut signals = Signals::catch().map_err(system("catch signals"))?;
    let mut doors = Doors::open(state, &settings.listening, autostarted)?;
    if let Some(doors) = &mut doors {
        doors.guard.peers = peer_gate(settings);
    }
    let urls = doors.as_ref().map_or_else(Vec::new, |doors| doors.urls.clone());
    tell(state, &urls);
    let Composed { mut parts, node, sole_user: _held, mark } = compose(state, settings, around).await?;
    foothold.stand_on(&settings.store).map_err(system("look at its store"))?;
    crashpoint!("app.composed");
    let metrics = Metrics::default();
    let store = GuardedStore::new(parts.store, foothold.clone(), mark);
    parts.store = Arc::new(Measured::new(Arc::new(store), parts.clock.clone(), metrics.clone()));
    let peers = peers(settings, &node.boot)?;
    let at = At {
        socket: Some(state.socket().to_string_lossy().into_owned()),
        address: Some(address(state, settings, &urls)),
    };
    let engine = Engine::start(parts, engine_settings(at, settings, node)).await;
    let engine = engine.map_err(Failure::of_start)?;
    crashpoint!("app.engine");
    // Only now: a name that was refused is not that of the directory.
    if let Err(error) = last_node::note(state, &settings.node) {
        tracing::warn!("{error}: {}", error.source);
    }
    metrics.follow(&engine);
    let api = Api { peers, ..api(&engine, state, settings, &urls, metrics) };
    tell_others(&api, state, &settings.outgoing);
    let mcp = open_mcp(state, &api);
    // Clients that start a manager wait for its socket, and may ask at the other one right behind.
    let agents =
        Socket::bind(state, foothold, MCP_SOCKET).map_err(system("listen on its socket for agents"))?;
    let (mut agents_socket, agents) = agents;
    let socket = Socket::bind(state, foothold, SOCKET).map_err(system("listen on its socket"))?;
    let (mut socket, listener) = socket;
    let router = longhaul_http::router(api);
    greet(state, settings, &urls);
    crashpoint!("app.ready");
    let connections = descriptors.for_connections(if doors.is_some() { 3 } else { 2 });
    let (end_all, told) = watch::channel(false);
    let mut serving = JoinSet::new();
    let me = rustix::process::geteuid().as_raw();
    let mut bounds = Bounds::for_user(me);
    bounds.connections = connections.min(bounds.connections);
    serving.spawn(longhaul_http::serve(listener, router.clone(), bounds, until(told.clone())));
    if let Some(Doors { listeners, guard, tls, .. }) = doors {
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
    let mut agent_bounds = longhaul_mcp::Bounds::for_user(me);
    agent_bounds.connections = connections.min(agent_bounds.connections);
    if let Some(mcp) = mcp.clone() {
        agents_served.spawn(mcp.serve(agents, agent_bounds, until(told.clone())));
    }
    loop {
        // Who is connected already is served on: what was taken away is only the way there.
        tokio::select! {
            () = signals.end() => break,
            () = engine.replaced() => {
                // As in a crash: what it would still write belongs to the other one.
                engine.abandon();
                take_down(state);
                let failure = Failure::Replaced { node: settings.node.clone() };
                tracing::error!("{failure}: it leaves; processes go on");
                return Err(failure);
            }
            listener = socket.bound_again(state, foothold) => {
                serving.spawn(longhaul_http::serve(listener, router.clone(), bounds, until(told.clone())));
            }
            listener = agents_socket.bound_again(state, foothold) => {
                if let Some(mcp) = mcp.clone() {
                    agents_served.spawn(mcp.serve(listener, agent_bounds, until(told.clone())));
                }
            }
        }
    }
    end_all.send_replace(true);
    let open = serving.join_all().await;
    take_down(state);
    let ended = end(&engine, settings.stop_processes, &mut signals).await;
    let closing: JoinSet<()> = open.into_iter().map(|open: OpenConnections| open.close(FAREWELL)).collect();
    closing.join_all().await;
    agents_served.join_all().await;
    ended.map_err(|source| Failure::Engine { source })
}

/// Done when the manager ends.
async fn until(mut told: watch::Receiver<bool>) {
    // Without anyone to tell it, it ends as well.
    let _ = told.wait_for(|told| *told).await;
}

/// Takes away everything by which clients find the manager.
fn take_down(state: &StateDir) {
    for name in [SOCKET, MCP_SOCKET] {
        if let Err(error) = state.remove_socket_at(name) {
            tracing::warn!(%error, name, "the socket could not be removed");
        }
    }
    tell(state, &[]);
}

/// Writes down where it can be asked over the network, for those who look for it; nothing depends on that.
fn tell(state: &StateDir, urls: &[String]) {
    if let Err(error) = network::tell(state, urls) {
        tracing::warn!(%error, "the list of addresses could not be written");
    }
}

/// Stops everything if that is wanted; a second signal means: at once.
async fn end(
    engine: &Engine,
    stop_processes: bool,
    signals: &mut Signals,
) -> Result<(), longhaul_engine::EngineError> {
    if stop_processes {
        tracing::info!("the manager ends; it stops all processes first");
        tokio::select! {
            stopped = engine.shut_down(Shutdown::StopAll) => return stopped,
            () = signals.end() => tracing::warn!("told to end again; what still runs is left to the next manager"),
        }
    } else {
        tracing::info!("the manager ends; processes go on");
    }
    engine.shut_down(Shutdown::Leave).await
}

/// What agents ask. Work goes on without it.
fn open_mcp(state: &StateDir, api: &Api) -> Option<Mcp> {
    Mcp::open(api.clone(), state.path())
        .inspect_err(|error| tracing::error!(%error, "agents cannot be served"))
        .ok()
}

/// Where an engine is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct At {
    /// By its children.
    pub(crate) socket: Option<String>,
    /// By other nodes.
    pub(crate) address: Option<String>,
}

/// What an engine is told by the configuration.
pub(crate) fn engine_settings(at: At, settings: &Settings, node: NodeFacts) -> longhaul_engine::Settings {
    longhaul_engine::Settings {
        node,
        offer: NodeOffer {
            labels: settings.labels.clone(),
            address: at.address,
            roots: Some(settings.max_parallel).filter(|roots| *roots > 0),
        },
        beat: longhaul_engine::Settings::BEAT,
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
        tail_beside_record: settings.tail_beside_record,
    }
}

fn api(engine: &Engine, state: &StateDir, settings: &Settings, urls: &[String], metrics: Metrics) -> Api {
    Api {
        engine: engine.clone(),
        about: Arc::new(Version {
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
            on_session_end: settings.on_session_end,
            session_grace: settings.session_grace,
        },
        retention: settings.retention.map(|rule| RetentionView {
            age_ms: rule.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            count: rule.count,
            bytes: settings.retention_bytes,
        }),
        metrics,
        relay: longhaul_api::Relay::default(),
        notice_window: settings.outgoing.window,
        peers: Peers::none(),
    }
}

/// The one line that says: from here on it answers.
fn greet(state: &StateDir, settings: &Settings, urls: &[String]) {
    let also: String = urls.iter().map(|url| format!(", {url}")).collect();
    let line = format!(
        "longhaul {} is ready: {}{also} (process {}, node {}, store {})\n",
        env!("CARGO_PKG_VERSION"),
        state.socket().display(),
        std::process::id(),
        settings.node,
        settings.store,
    );
    // Nobody has to read it.
    let _ = io::stderr().write_all(line.as_bytes());
}

fn system(tried: &'static str) -> impl Fn(io::Error) -> Failure {
    move |source| Failure::System { tried, source }
}
