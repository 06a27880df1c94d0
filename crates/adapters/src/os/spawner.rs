//! The spawner. For each attempt it runs a watch: a tokio task that is idle most of the time.

use super::attempt_mark;
use super::attempts::Attempts;
use super::cgroups::{self, Cgroups};
use super::input::InputError;
use super::inspect::{self, CachedSnapshot};
use super::launch::TakeoverSpec;
use super::lease::LeaseNoteWriter;
use super::nested;
use super::options::{ContainmentChoice, OsOptions};
use super::prober::OsProber;
use super::reaper::Reaper;
use super::watch::{AttemptRequest, AttemptWatch, PendingSignal, WatchBegin};
use async_trait::async_trait;
use longhaul_domain::{Capabilities, CommandSpec, PortHolder, Signal, SignalTarget, TreeUsage};
use longhaul_ports::{
    Adopted, AttemptKey, LeaseEnd, SpawnError, Spawner, SpawnerEvent, StartRequest, StopRequest, TreeSnapshot,
};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Maximum time to wait for the answer of a shim.
const SHIM_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time to wait for the adoption of an attempt. A starting manager adopts attempts while its first client is
/// waiting. The state of an attempt that takes longer is reported later.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time to check whether the end of an attempt is durable. It is short because the ends of other attempts wait
/// in the same queue. The caller repeats the check later.
const END_TIMEOUT: Duration = Duration::from_millis(200);
/// Timeout of a usage or inspection request. It is short because callers send such requests for many attempts in
/// sequence.
const USAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs each attempt under its own shim, and watches the shims.
///
/// Dropping the spawner stops no attempt: another spawner can take over the attempts with `adopt`.
#[derive(Debug)]
pub struct OsSpawner {
    shared: Arc<SpawnerShared>,
    watches: Arc<WatchTable>,
    news: tokio::sync::Mutex<mpsc::UnboundedReceiver<SpawnerEvent>>,
}

/// State that the watches of all attempts share.
#[derive(Debug)]
pub(super) struct SpawnerShared {
    pub(super) options: OsOptions,
    pub(super) attempts: Attempts,
    pub(super) cgroups: Option<Cgroups>,
    pub(super) lease: LeaseNoteWriter,
    pub(super) reaper: Arc<Reaper>,
    pub(super) seen: mpsc::UnboundedSender<SpawnerEvent>,
}

/// The running watches, by attempt.
#[derive(Debug, Default)]
pub(super) struct WatchTable {
    known: Mutex<BTreeMap<AttemptKey, WatchState>>,
}

/// The data that the spawner has about one watch.
#[derive(Debug)]
struct WatchState {
    asks: mpsc::UnboundedSender<AttemptRequest>,
    /// Result of the last inspection of the process tree.
    sight: Option<Arc<CachedSnapshot>>,
}

impl OsSpawner {
    /// Opens a spawner. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - The directory of attempts cannot be created.
    /// - A control group is required but cannot be created.
    /// - This program cannot become the adopter of orphans.
    pub fn open(options: OsOptions) -> io::Result<Self> {
        let attempts = Attempts::open(&options.attempts_dir)?;
        nested::advertise();
        attempt_mark::remove_own();
        let cgroups = match options.containment {
            ContainmentChoice::Auto => Cgroups::open(&attempts)
                .inspect_err(|error| {
                    tracing::debug!(%error, "could not create a control group; using \
                     another containment mechanism")
                })
                .ok(),
            ContainmentChoice::Cgroup => Some(Cgroups::open(&attempts)?),
            ContainmentChoice::Subreaper | ContainmentChoice::Group => None,
        };
        let reaper = Arc::new(Reaper::default());
        if options.adopt_orphans {
            Reaper::adopt_orphans(&reaper)?;
        }
        let lease = LeaseNoteWriter::beside(attempts.path(), &options);
        let (seen, news) = mpsc::unbounded_channel();
        Ok(Self {
            shared: Arc::new(SpawnerShared { options, attempts, cgroups, lease, reaper, seen }),
            watches: Arc::default(),
            news: tokio::sync::Mutex::new(news),
        })
    }

    /// Creates a prober. The spawner does not mistake the commands of this prober for orphans. Must be called inside a
    /// tokio runtime.
    #[must_use]
    pub fn prober(&self) -> OsProber {
        OsProber::open(Arc::clone(&self.shared))
    }

    /// Starts the watch of an attempt. Returns false if the attempt already has a watch.
    fn watch(&self, key: AttemptKey, conduct: TakeoverSpec, beginning: WatchBegin) -> bool {
        let mut known = self.watches.lock();
        if known.contains_key(&key) {
            return false;
        }
        let (asks, receiver) = mpsc::unbounded_channel();
        known.insert(key, WatchState { asks, sight: None });
        let watches = Arc::downgrade(&self.watches);
        let watch = AttemptWatch::new(Arc::clone(&self.shared), watches, key, receiver, conduct);
        tokio::spawn(watch.run(beginning));
        true
    }

    fn ask(&self, key: AttemptKey, ask: AttemptRequest) -> Result<(), SpawnError> {
        let known = self.watches.lock();
        let sent = known.get(&key).map(|known| known.asks.send(ask));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(SpawnError::Unknown { key }) }
    }

    async fn answered<T>(
        key: AttemptKey,
        answer: oneshot::Receiver<Result<T, String>>,
        time_limit: Duration,
    ) -> Result<T, SpawnError> {
        match tokio::time::timeout(time_limit, answer).await {
            Ok(Ok(Ok(reported))) => Ok(reported),
            Ok(Ok(Err(what))) => Err(SpawnError::Unreachable { key, what }),
            Ok(Err(_)) => Err(SpawnError::Unknown { key }),
            Err(_) => Err(silent(key)),
        }
    }
}

#[async_trait]
impl Spawner for OsSpawner {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    async fn start(&self, order: StartRequest) -> Result<(), SpawnError> {
        let key = order.key;
        let (answer, started) = oneshot::channel();
        let conduct = TakeoverSpec::of(&order.command);
        if !self.watch(key, conduct, WatchBegin::Start { order: Box::new(order), answer }) {
            return Ok(());
        }
        match started.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(SpawnError::Refused { failure }),
            Err(_) => {
                let what = "the start of the command was cancelled".to_owned();
                Err(SpawnError::Unreachable { key, what })
            }
        }
    }

    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError> {
        let (answer, found) = oneshot::channel();
        self.watch(key, TakeoverSpec::of(command), WatchBegin::Adopt);
        self.ask(key, AttemptRequest::Find(answer))?;
        match tokio::time::timeout(ADOPT_TIMEOUT, found).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(what))) => Err(SpawnError::Unreachable { key, what }),
            Ok(Err(_)) | Err(_) => Err(silent(key)),
        }
    }

    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError> {
        self.ask(key, AttemptRequest::Stop(order))
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        let (answer, paused) = oneshot::channel();
        self.ask(key, AttemptRequest::Pause(answer))?;
        Self::answered(key, paused, SHIM_TIMEOUT).await
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        let (answer, resumed) = oneshot::channel();
        self.ask(key, AttemptRequest::Resume(answer))?;
        Self::answered(key, resumed, SHIM_TIMEOUT).await
    }

    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        let (answer, sent) = oneshot::channel();
        self.ask(key, AttemptRequest::Signal(PendingSignal { signal, target }, answer))?;
        Self::answered(key, sent, SHIM_TIMEOUT).await
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        let (answer, usage) = oneshot::channel();
        self.ask(key, AttemptRequest::Usage(answer))?;
        Self::answered(key, usage, USAGE_TIMEOUT).await
    }

    async fn port_holder(&self, port: u16, addresses: &[IpAddr]) -> Option<PortHolder> {
        let addresses = addresses.to_vec();
        tokio::task::spawn_blocking(move || inspect::port_holder(port, &addresses)).await.ok().flatten()
    }

    async fn inspect(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError> {
        // Reuse a valid result: repeated inspections of a tree that sleeps for hours should need no thread and not wake
        // its shim.
        if let Some(sight) = self.watches.sight(key)
            && sight.lasts()
        {
            return Ok(sight.tree().clone());
        }
        let (answer, seen) = oneshot::channel();
        self.ask(key, AttemptRequest::Look(answer))?;
        let sight = Self::answered(key, seen, USAGE_TIMEOUT).await?;
        let tree = sight.tree().clone();
        self.watches.keep(key, sight);
        Ok(tree)
    }

    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        let refused = |error| match error {
            InputError::Closed => SpawnError::InputClosed { key },
            InputError::Failed(what) => SpawnError::Unreachable { key, what },
        };
        let (answer, input) = oneshot::channel();
        self.ask(key, AttemptRequest::Input(answer))?;
        let input = match tokio::time::timeout(SHIM_TIMEOUT, input).await {
            Ok(Ok(input)) => input.map_err(refused)?,
            Ok(Err(_)) => return Err(SpawnError::Unknown { key }),
            Err(_) => return Err(silent(key)),
        };
        let turn = input.turn().await;
        let written = turn.write(&bytes).await.map_err(refused)?;
        if close && written == bytes.len() {
            let (answer, closed) = oneshot::channel();
            self.ask(key, AttemptRequest::CloseInput(answer))?;
            Self::answered(key, closed, SHIM_TIMEOUT).await?;
            turn.end();
        }
        Ok(written)
    }

    async fn set_lease_end(&self, until: LeaseEnd) {
        let shared = Arc::clone(&self.shared);
        let turn = shared.lease.turn();
        // Write in a blocking thread, so that a disk that hangs delays only the callers of this method.
        let written = tokio::task::spawn_blocking(move || shared.lease.write(turn, until)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::error!(
                %error,
                "could not write the new expiry time of the lease: at the previous expiry time, shims stop \
                the processes that may run on other nodes"
            );
        }
    }

    async fn next(&self) -> SpawnerEvent {
        let mut news = self.news.lock().await;
        match news.recv().await {
            Some(seen) => seen,
            // Unreachable: this value owns a sender itself, so the stream never ends.
            None => std::future::pending().await,
        }
    }

    async fn exit_is_durable(&self, key: AttemptKey) -> bool {
        let (answer, kept) = oneshot::channel();
        self.ask(key, AttemptRequest::Kept(answer)).is_ok()
            && Self::answered(key, kept, END_TIMEOUT).await.is_ok()
    }

    async fn end_recorded(&self, key: AttemptKey) {
        // Remove the watch immediately. Later requests are then answered from the attempt directory.
        if let Some(known) = self.watches.lock().remove(&key) {
            drop(known.asks.send(AttemptRequest::Settle));
        }
    }
}

impl SpawnerShared {
    /// Returns the path for the control group of an attempt, or `None` if control groups are not available.
    pub(super) fn cgroup(&self, key: AttemptKey) -> Option<PathBuf> {
        self.cgroups.as_ref().map(|cgroups| cgroups.ready(key))
    }

    /// Removes the control group of an ended attempt if its shim was killed before it could do so. Returns false if the
    /// group still exists.
    pub(super) fn remove_cgroup(&self, key: AttemptKey, known: Option<PathBuf>) -> bool {
        let default_group = || self.cgroups.as_ref().map(|cgroups| cgroups.path_of(key));
        let Some(group) = known.or_else(default_group).filter(|group| group.exists()) else { return true };
        if !self.attempts.has_shim(key) {
            cgroups::remove(&group);
        }
        !group.exists()
    }
}

impl WatchTable {
    /// Removes the watch of an attempt if it accepts no more requests. Keeps a newer watch of the same attempt.
    pub(super) fn forget(&self, key: AttemptKey) {
        let mut watches = self.lock();
        if watches.get(&key).is_some_and(|known| known.asks.is_closed()) {
            watches.remove(&key);
        }
    }

    fn sight(&self, key: AttemptKey) -> Option<Arc<CachedSnapshot>> {
        self.lock().get(&key)?.sight.clone()
    }

    fn keep(&self, key: AttemptKey, sight: CachedSnapshot) {
        if let Some(known) = self.lock().get_mut(&key) {
            known.sight = Some(Arc::new(sight));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, WatchState>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silent(key: AttemptKey) -> SpawnError {
    SpawnError::Unreachable { key, what: "the supervisor did not answer".to_owned() }
}
