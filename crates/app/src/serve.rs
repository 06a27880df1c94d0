//! `longhaul serve`: the manager.

mod descriptors;
mod signals;

use crate::announce::announce;
use crate::compose::{Composed, Surroundings, compose};
use crate::config::{Flags, Settings, Sources};
use crate::failure::Failure;
use crate::lock::{LockError, ManagerLock};
use crate::log;
use crate::reserve::Reserve;
use crate::state_dir::StateDir;
use crate::stores::Stores;
use crate::vital;
use descriptors::Descriptors;
use longhaul_engine::ports::NodeFacts;
use longhaul_engine::{Engine, Shutdown};
use longhaul_http::{Bounds, Face, LaunchDefaults};
use longhaul_wire::api::{PROTOCOL, RetentionView, Version};
use rustix::fs::Mode;
use signals::Signals;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;

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
const HIDDEN: &[&str] = &["LONGHAUL_STORE"];

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
        match log::redirect(path) {
            // Its words are lost, as those of any log on a full disk.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            redirected => redirected.map_err(|source| Failure::Log { path: path.clone(), source })?,
        }
    }
    log::begin(order.verbosity);
    vital::guard();
    let layers = Sources::of(state.path(), order.flags.clone()).read()?;
    let settings = Settings::knowing(&layers, state.path(), &order.stores)?;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let Some(_lock) = lock(&state, order.autostarted)? else {
        return Ok(());
    };
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
    runtime
        .block_on(manage(&state, &settings, &around, descriptors))
        .map_err(|failure| of_full_disk(&state, failure))
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
            taken => return taken.map(Some),
        }
    }
}

async fn manage(
    state: &StateDir,
    settings: &Settings,
    around: &Surroundings,
    descriptors: Descriptors,
) -> Result<(), Failure> {
    let mut signals = Signals::catch().map_err(system("catch signals"))?;
    let Composed { parts, boot, sole_user: _held } = compose(state, settings, around).await?;
    let node = NodeFacts { id: settings.node.clone(), boot, version: env!("CARGO_PKG_VERSION").to_owned() };
    let socket = state.socket().to_string_lossy().into_owned();
    let engine = Engine::start(parts, engine_settings(Some(socket), settings, node)).await;
    let engine = engine.map_err(|source| Failure::Engine { source })?;
    let listener = listen(state).map_err(system("listen on its socket"))?;
    let router = longhaul_http::router(face(&engine, state, settings));
    greet(state, settings);
    let mut bounds = Bounds::for_user(rustix::process::geteuid().as_raw());
    bounds.connections = descriptors::for_connections(descriptors.raised, bounds.connections);
    let open = longhaul_http::serve(listener, router, bounds, signals.end()).await;
    if let Err(error) = state.remove_socket() {
        tracing::warn!(%error, "the socket could not be removed");
    }
    let ended = end(&engine, settings.stop_processes, &mut signals).await;
    open.close(FAREWELL).await;
    ended.map_err(|source| Failure::Engine { source })
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

fn listen(state: &StateDir) -> io::Result<UnixListener> {
    let listener = state.listen()?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// What an engine is told by the configuration; `socket` is where its children reach it.
pub(crate) fn engine_settings(
    socket: Option<String>,
    settings: &Settings,
    node: NodeFacts,
) -> longhaul_engine::Settings {
    longhaul_engine::Settings {
        node,
        max_parallel: settings.max_parallel,
        tree: settings.tree,
        policy: Some(settings.policy.clone()),
        socket,
        default_key: settings.default_key.clone(),
        hidden: HIDDEN.iter().map(|name| (*name).to_owned()).collect(),
        level_limits: settings.level_limits.clone(),
        retention: settings.retention,
        retention_bytes: settings.retention_bytes,
        output_total: settings.output_total,
        silence: longhaul_domain::SilencePolicy::default(),
    }
}

fn face(engine: &Engine, state: &StateDir, settings: &Settings) -> Face {
    Face {
        engine: engine.clone(),
        about: Arc::new(Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            pid: std::process::id(),
            state_dir: state.path().display().to_string(),
            store: settings.store.to_string(),
            node_id: settings.node.to_string(),
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
    }
}

/// The one line that says: from here on it answers.
fn greet(state: &StateDir, settings: &Settings) {
    let line = format!(
        "longhaul {} is ready: {} (process {}, node {}, store {})\n",
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
