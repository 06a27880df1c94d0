//! Opens stores without a manager, and fills them.

use crate::Failure;
use crate::seed;
use longhaul_adapters::fs::{FsOptions, FsStore};
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_adapters::system::{RandomIds, SystemClock};
use longhaul_domain::{
    Action, ActionSeq, Capabilities, DecisionContext, Input, Lineage, LiveStats, PolicyVersion, Process,
    ProcessId, Revision, Seq, SlotKey, Spec, StopCause, TreeLimits,
};
use longhaul_ports::{
    Change, Clock, IdSource, Migrate, Store, StoreMetadata, StoredProcess, Submission, SubmitLimits,
    SubmitOutcome, Writer,
};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// An error that can be sent between threads.
type Refused = Box<dyn std::error::Error + Send + Sync>;

/// Number of concurrent writers that fill a store. There are many, because the store commits concurrent writes
/// together.
const WRITERS: usize = 256;
/// Number of records that a single call of `migrate` writes.
const LOAD: usize = 2_000;

/// Creates a directory on a disk. It is not in `/tmp`, which may be in memory.
pub(crate) fn on_disk() -> Result<TempDir, Failure> {
    let here = std::env::current_exe()?;
    let here = here.parent().ok_or("the program has no parent directory")?;
    Ok(tempfile::Builder::new().prefix("longhaul-store-").tempdir_in(here)?)
}

/// Creates a directory in memory.
pub(crate) fn in_memory() -> Result<TempDir, Failure> {
    Ok(tempfile::Builder::new().prefix("longhaul-store-").tempdir_in("/dev/shm")?)
}

/// Returns an async runtime with two threads, because the floors assume two cores.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

pub(crate) fn clock(home: &Path) -> Result<Arc<dyn Clock>, Failure> {
    Ok(Arc::new(SystemClock::open(home)?))
}

pub(crate) fn database(home: &Path) -> Result<SqliteStore, Failure> {
    Ok(SqliteStore::open(&home.join("store.db"), clock(home)?, SqliteOptions::default())?)
}

pub(crate) fn files(home: &Path) -> Result<FsStore, Failure> {
    Ok(FsStore::open(&home.join("store"), clock(home)?, FsOptions::default())?)
}

/// Returns a submission that creates a new process.
pub(crate) fn work(clock: &dyn Clock, spec: &Arc<Spec>) -> Submission {
    let (process, events) =
        Process::submit(&context(clock), RandomIds.process(), Lineage::default(), Arc::clone(spec));
    let limits = SubmitLimits { policy: PolicyVersion(0), slots: None, tree: TreeLimits::default() };
    Submission { process, events, limits, claim_for: None, fail_if_queued: false }
}

/// Runs `writers` concurrent writers for `turns` turns. In each turn, a writer submits a process and ends it, which
/// makes two commits.
pub(crate) async fn turns(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    writers: usize,
    turns: u32,
) -> Result<(), Failure> {
    let spec = Arc::new(seed::spec()?);
    share(writers, turns, |_, turns| {
        let (store, clock, spec) = (Arc::clone(store), Arc::clone(clock), Arc::clone(&spec));
        async move {
            for _ in 0..turns {
                let SubmitOutcome::Waiting(stored) = store.submit(work(&*clock, &spec)).await? else {
                    return Err("a new record is not waiting".into());
                };
                store.commit(cancelling(&stored, &*clock)?).await?;
            }
            Ok(())
        }
    })
    .await
}

/// Submits `waiters` waiting processes, and distributes them evenly over `keys` concurrency keys.
pub(crate) async fn line_up(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    waiters: u32,
    keys: usize,
) -> Result<(), Failure> {
    let mut specs = Vec::new();
    for key in 0..keys {
        let key = Some(SlotKey::new(&format!("key-{key}"))?);
        specs.push(Arc::new(Spec { key, ..seed::spec()? }));
    }
    share(WRITERS, waiters, |writer, waiters| {
        let (store, clock, specs) = (Arc::clone(store), Arc::clone(clock), specs.clone());
        async move {
            let begin = keys * writer / WRITERS;
            for spec in specs.iter().cycle().skip(begin).take(waiters) {
                store.submit(work(&*clock, spec)).await?;
            }
            Ok(())
        }
    })
    .await
}

/// Writes `count` records of completed processes to an empty store.
pub(crate) async fn fill<S: Migrate>(store: &S, clock: &dyn Clock, count: u64) -> Result<(), Failure> {
    let spec = Arc::new(seed::spec()?);
    let mut ids: Vec<ProcessId> = (0..count).map(|_| RandomIds.process()).collect();
    // Sort the ids, because the index can then be written much faster.
    ids.sort_unstable();
    let mut last = Seq(0);
    for ids in ids.chunks(LOAD) {
        let mut load = Vec::with_capacity(LOAD);
        for id in ids {
            last = last.next();
            load.push(finished(clock, &spec, *id, last)?);
        }
        store.import_processes(&load).await?;
    }
    store.import_metadata(&StoreMetadata { last_seq: last, ..StoreMetadata::default() }).await?;
    Ok(())
}

fn finished(clock: &dyn Clock, spec: &Arc<Spec>, id: ProcessId, seq: Seq) -> Result<StoredProcess, Failure> {
    let ctx = context(clock);
    let (process, _) = Process::submit(&ctx, id, Lineage::default(), Arc::clone(spec));
    let (process, _) = seed::lived(&process, &ctx)?;
    let live_stats = LiveStats::default();
    Ok(StoredProcess {
        process,
        revision: Revision(2),
        seq,
        owner: None,
        pending_actions: Vec::new(),
        live_stats,
    })
}

fn cancelling(stored: &StoredProcess, clock: &dyn Clock) -> Result<Change, Refused> {
    let input = Input::Action(Action::Cancel { cause: StopCause::User });
    let step = stored.process.decide(&context(clock), &stored.live_stats, &input)?;
    let mut next = stored.process.clone();
    next.evolve(&step.events);
    let (author, expected) = (Writer::Anyone, stored.revision);
    Ok(Change {
        op: RandomIds.op(),
        author,
        expected,
        next,
        events: step.events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    })
}

/// Distributes `acts` actions over `writers` concurrent writers. Each writer receives its own number and the number of
/// its actions.
async fn share<A>(writers: usize, acts: u32, write: impl Fn(usize, usize) -> A) -> Result<(), Failure>
where
    A: Future<Output = Result<(), Refused>> + Send + 'static,
{
    let acts = usize::try_from(acts)?;
    let mut under_way = JoinSet::new();
    for writer in 0..writers {
        under_way.spawn(write(writer, acts / writers + usize::from(writer < acts % writers)));
    }
    while let Some(done) = under_way.join_next().await {
        done?.map_err(|refused| refused as Failure)?;
    }
    Ok(())
}

fn context(clock: &dyn Clock) -> DecisionContext {
    DecisionContext {
        now: clock.now(),
        awake: clock.awake(),
        chance: RandomIds.chance(),
        capabilities: Capabilities::ALL,
    }
}
