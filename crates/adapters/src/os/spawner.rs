//! The spawner: one watch per attempt, each a parked task.

use super::attempts::Attempts;
use super::cgroups::{self, Cgroups};
use super::input::InputError;
use super::launch::Conduct;
use super::lease::LeaseKeeper;
use super::look::Sight;
use super::mark;
use super::nested;
use super::options::{ContainmentChoice, OsOptions};
use super::prober::OsProber;
use super::reaper::Reaper;
use super::watch::{Ask, Beginning, Sent, Watch};
use async_trait::async_trait;
use longhaul_domain::{Capabilities, CommandSpec, Signal, SignalTarget, TreeUsage};
use longhaul_ports::{
    AttemptKey, Found, LeaseEnd, Seen, SpawnError, Spawner, StartOrder, StopOrder, TreeLook,
};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long an answer of a shim is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same at the start of a manager, for which its first client waits; an attempt becomes known later all the same.
const PATIENCE_FOR_FOUND: Duration = Duration::from_secs(2);
/// The same where other ends stand in line behind it; it is asked for again.
const PATIENCE_FOR_END: Duration = Duration::from_millis(200);
/// The same where many are looked at one after the other, by somebody who waits for the whole list.
const PATIENCE_FOR_USAGE: Duration = Duration::from_secs(1);

/// Runs each attempt under a shim of its own, and watches the shims.
///
/// Dropping it lets go of everything and stops nothing: another one finds the attempts by `adopt`.
#[derive(Debug)]
pub struct OsSpawner {
    shared: Arc<Shared>,
    watches: Arc<Watches>,
    news: tokio::sync::Mutex<mpsc::UnboundedReceiver<Seen>>,
}

/// What all watches use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: OsOptions,
    pub(super) attempts: Attempts,
    pub(super) cgroups: Option<Cgroups>,
    pub(super) lease: LeaseKeeper,
    pub(super) reaper: Arc<Reaper>,
    pub(super) seen: mpsc::UnboundedSender<Seen>,
}

/// How each watch is asked.
#[derive(Debug, Default)]
pub(super) struct Watches {
    known: Mutex<BTreeMap<AttemptKey, Known>>,
}

/// One watch, as seen from outside.
#[derive(Debug)]
struct Known {
    asks: mpsc::UnboundedSender<Ask>,
    /// What the last look into its tree found.
    sight: Option<Arc<Sight>>,
}

impl OsSpawner {
    /// Opens a spawner; to be called inside a runtime.
    ///
    /// # Errors
    /// If the directory of attempts cannot be made, a control group is demanded where there can be none, or orphans
    /// cannot be adopted.
    pub fn open(options: OsOptions) -> io::Result<Self> {
        let attempts = Attempts::open(&options.attempts_dir)?;
        nested::announce();
        mark::remove_own();
        let cgroups = match options.containment {
            ContainmentChoice::Auto => Cgroups::open(&attempts)
                .inspect_err(|error| tracing::debug!(%error, "no control groups here"))
                .ok(),
            ContainmentChoice::Cgroup => Some(Cgroups::open(&attempts)?),
            ContainmentChoice::Subreaper | ContainmentChoice::Group => None,
        };
        let reaper = Arc::new(Reaper::default());
        if options.adopt_orphans {
            Reaper::adopt_orphans(&reaper)?;
        }
        let lease = LeaseKeeper::beside(attempts.path(), &options);
        let (seen, news) = mpsc::unbounded_channel();
        Ok(Self {
            shared: Arc::new(Shared { options, attempts, cgroups, lease, reaper, seen }),
            watches: Arc::default(),
            news: tokio::sync::Mutex::new(news),
        })
    }

    /// Creates a prober whose commands this spawner does not take for orphans; to be called inside a runtime.
    #[must_use]
    pub fn prober(&self) -> OsProber {
        OsProber::open(Arc::clone(&self.shared))
    }

    /// Watches an attempt that is not watched yet; false if it is.
    fn watch(&self, key: AttemptKey, conduct: Conduct, beginning: Beginning) -> bool {
        let mut known = self.watches.lock();
        if known.contains_key(&key) {
            return false;
        }
        let (asks, receiver) = mpsc::unbounded_channel();
        known.insert(key, Known { asks, sight: None });
        let watches = Arc::downgrade(&self.watches);
        let watch = Watch::new(Arc::clone(&self.shared), watches, key, receiver, conduct);
        tokio::spawn(watch.run(beginning));
        true
    }

    fn ask(&self, key: AttemptKey, ask: Ask) -> Result<(), SpawnError> {
        let known = self.watches.lock();
        let sent = known.get(&key).map(|known| known.asks.send(ask));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(SpawnError::Unknown { key }) }
    }

    async fn answered<T>(
        key: AttemptKey,
        answer: oneshot::Receiver<Result<T, String>>,
        patience: Duration,
    ) -> Result<T, SpawnError> {
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Ok(told))) => Ok(told),
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

    async fn start(&self, order: StartOrder) -> Result<(), SpawnError> {
        let key = order.key;
        let (answer, started) = oneshot::channel();
        let conduct = Conduct::of(&order.command);
        if !self.watch(key, conduct, Beginning::Start { order: Box::new(order), answer }) {
            return Ok(());
        }
        match started.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(SpawnError::Refused { failure }),
            Err(_) => {
                let what = "the start was given up".to_owned();
                Err(SpawnError::Unreachable { key, what })
            }
        }
    }

    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Found, SpawnError> {
        let (answer, found) = oneshot::channel();
        self.watch(key, Conduct::of(command), Beginning::Adopt);
        self.ask(key, Ask::Find(answer))?;
        match tokio::time::timeout(PATIENCE_FOR_FOUND, found).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(what))) => Err(SpawnError::Unreachable { key, what }),
            Ok(Err(_)) | Err(_) => Err(silent(key)),
        }
    }

    async fn stop(&self, key: AttemptKey, order: StopOrder) -> Result<(), SpawnError> {
        self.ask(key, Ask::Stop(order))
    }

    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError> {
        let (answer, paused) = oneshot::channel();
        self.ask(key, Ask::Pause(answer))?;
        Self::answered(key, paused, PATIENCE).await
    }

    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError> {
        let (answer, resumed) = oneshot::channel();
        self.ask(key, Ask::Resume(answer))?;
        Self::answered(key, resumed, PATIENCE).await
    }

    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        let (answer, sent) = oneshot::channel();
        self.ask(key, Ask::Signal(Sent { signal, target }, answer))?;
        Self::answered(key, sent, PATIENCE).await
    }

    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError> {
        let (answer, usage) = oneshot::channel();
        self.ask(key, Ask::Usage(answer))?;
        Self::answered(key, usage, PATIENCE_FOR_USAGE).await
    }

    async fn look(&self, key: AttemptKey) -> Result<TreeLook, SpawnError> {
        // Whoever sleeps for hours is looked at now and then, and should cost neither a thread nor its shim a wake-up.
        if let Some(sight) = self.watches.sight(key)
            && sight.lasts()
        {
            return Ok(sight.tree().clone());
        }
        let (answer, seen) = oneshot::channel();
        self.ask(key, Ask::Look(answer))?;
        let sight = Self::answered(key, seen, PATIENCE_FOR_USAGE).await?;
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
        self.ask(key, Ask::Input(answer))?;
        let input = match tokio::time::timeout(PATIENCE, input).await {
            Ok(Ok(input)) => input.map_err(refused)?,
            Ok(Err(_)) => return Err(SpawnError::Unknown { key }),
            Err(_) => return Err(silent(key)),
        };
        let turn = input.turn().await;
        let written = turn.write(&bytes).await.map_err(refused)?;
        if close && written == bytes.len() {
            let (answer, closed) = oneshot::channel();
            self.ask(key, Ask::CloseInput(answer))?;
            Self::answered(key, closed, PATIENCE).await?;
            turn.end();
        }
        Ok(written)
    }

    async fn lease_lasts(&self, until: LeaseEnd) {
        let shared = Arc::clone(&self.shared);
        let turn = shared.lease.turn();
        // A disk that does not answer holds up nobody but those who wait for this.
        let written = tokio::task::spawn_blocking(move || shared.lease.write(turn, until)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::error!(%error, "the end of the lease cannot be written: work that may run elsewhere ends with it");
        }
    }

    async fn next(&self) -> Seen {
        let mut news = self.news.lock().await;
        match news.recv().await {
            Some(seen) => seen,
            // A sender lives in this very value, so that the stream never ends.
            None => std::future::pending().await,
        }
    }

    async fn keeps_end(&self, key: AttemptKey) -> bool {
        let (answer, kept) = oneshot::channel();
        self.ask(key, Ask::Kept(answer)).is_ok() && Self::answered(key, kept, PATIENCE_FOR_END).await.is_ok()
    }

    async fn settled(&self, key: AttemptKey) {
        // Forgotten at once: whoever asks for it from here on is told what the directory says.
        if let Some(known) = self.watches.lock().remove(&key) {
            drop(known.asks.send(Ask::Settle));
        }
    }
}

impl Shared {
    /// The directory for a control group of one attempt, if there are groups here.
    pub(super) fn cgroup(&self, key: AttemptKey) -> Option<PathBuf> {
        self.cgroups.as_ref().map(|cgroups| cgroups.ready(key))
    }

    /// Removes the group of an attempt that is over, which a shim leaves that is killed before it has done so; false if the
    /// group is still there.
    pub(super) fn remove_cgroup(&self, key: AttemptKey, known: Option<PathBuf>) -> bool {
        let usual = || self.cgroups.as_ref().map(|cgroups| cgroups.path_of(key));
        let Some(group) = known.or_else(usual).filter(|group| group.exists()) else { return true };
        if !self.attempts.has_shim(key) {
            cgroups::remove(&group);
        }
        !group.exists()
    }
}

impl Watches {
    /// Forgets a watch that listens no more; one that took its place stays.
    pub(super) fn forget(&self, key: AttemptKey) {
        let mut watches = self.lock();
        if watches.get(&key).is_some_and(|known| known.asks.is_closed()) {
            watches.remove(&key);
        }
    }

    fn sight(&self, key: AttemptKey) -> Option<Arc<Sight>> {
        self.lock().get(&key)?.sight.clone()
    }

    fn keep(&self, key: AttemptKey, sight: Sight) {
        if let Some(known) = self.lock().get_mut(&key) {
            known.sight = Some(Arc::new(sight));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn silent(key: AttemptKey) -> SpawnError {
    SpawnError::Unreachable { key, what: "its supervisor gave no answer".to_owned() }
}
