//! Prepares state directories with the records of finished processes. The records are written directly to the store,
//! without a manager.

use crate::Failure;
use longhaul_adapters::sqlite::{SqliteOptions, SqliteStore};
use longhaul_adapters::system::{RandomIds, SystemClock};
use longhaul_domain::{
    ActionSeq, AttemptNo, Capabilities, CommandSpec, DecisionContext, Event, Exit, ExitCircumstances,
    ExitStatus, Input, Lineage, LiveStats, NodeId, Observation, Process, ProjectName, Spec, TreeLimits,
    Usage, Work,
};
use longhaul_ports::{
    Change, Clock, IdSource, ProcessStore, Queues, Submission, SubmitLimits, SubmitOutcome, Writer,
};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Number of concurrent writers. There are many, because the store commits concurrent writes together.
const WRITERS: usize = 256;

/// Creates a state directory with the records of `count` completed commands.
pub(crate) fn finished(count: usize) -> Result<TempDir, Failure> {
    let home = tempfile::Builder::new().prefix("longhaul-seed-").tempdir()?;
    let clock = Arc::new(SystemClock::open(home.path())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let path = home.path().join("longhaul.db");
        let store = SqliteStore::open(&path, Arc::clone(&clock) as Arc<dyn Clock>, SqliteOptions::default())?;
        let store = Arc::new(store);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let share = count / WRITERS + usize::from(writer < count % WRITERS);
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            writers.spawn(async move {
                for _ in 0..share {
                    finish_one(&*store, &*clock).await.map_err(|failure| failure.to_string())?;
                }
                Ok::<_, String>(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(home)
}

async fn finish_one<S: ProcessStore + Queues>(store: &S, clock: &dyn Clock) -> Result<(), Failure> {
    let ctx = DecisionContext {
        now: clock.now(),
        awake: clock.awake(),
        chance: RandomIds.chance(),
        capabilities: Capabilities::ALL,
    };
    let (process, events) = Process::submit(&ctx, RandomIds.process(), Lineage::default(), Arc::new(spec()?));
    let (policy, _) = store.policy().await?;
    let submission = Submission {
        process: process.clone(),
        events,
        limits: SubmitLimits { policy, slots: None, tree: TreeLimits::default() },
        claim_for: None,
        fail_if_queued: false,
    };
    let SubmitOutcome::Waiting(stored) = store.submit(submission).await? else {
        return Err("a new record is not waiting".into());
    };
    let (next, events) = lived(&stored.process, &ctx)?;
    let change = Change {
        op: RandomIds.op(),
        author: Writer::Anyone,
        expected: stored.revision,
        next,
        events,
        taken: ActionSeq(0),
        require_no_live_descendants: false,
    };
    store.commit(change).await?;
    Ok(())
}

/// Takes a process from its submission through all its states to its end.
pub(crate) fn lived(process: &Process, ctx: &DecisionContext) -> Result<(Process, Vec<Event>), Failure> {
    let attempt = AttemptNo(1);
    let exit = Exit {
        status: ExitStatus::Code(0),
        at: ctx.now,
        stopped: None,
        last_signal: None,
        leftovers_killed: 0,
        leftovers_found: 0,
        limit: None,
        usage: Usage::default(),
        output_bytes: 4_096,
        dropped_bytes: 0,
        started_at: None,
        circumstances: ExitCircumstances::PLAIN,
        first_error: None,
    };
    let seen = [
        Observation::Claimed { attempt, node: NodeId::new("seed")? },
        Observation::Spawned { attempt, pid: Some(4_711), containment: None, at: ctx.now },
        Observation::Exited { attempt, exit },
    ];
    let mut next = process.clone();
    let mut events = Vec::new();
    for observation in seen {
        let step = next.decide(ctx, &LiveStats::default(), &Input::Observation(observation))?;
        next.evolve(&step.events);
        events.extend(step.events);
    }
    Ok((next, events))
}

pub(crate) fn spec() -> Result<Spec, Failure> {
    let mut command = CommandSpec::of("cargo", &["test", "--workspace", "--release"], "/home/someone/work");
    command.timeout = Some(Duration::from_secs(600));
    let mut spec = Spec::of(Work::Command(Box::new(command)));
    spec.project = Some(ProjectName::new("seed")?);
    spec.description = Some("a record that was written for a measurement".to_owned());
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Status;
    use longhaul_ports::{PageRequest, ProcessFilter, SortOrder};

    #[test]
    fn a_seed_holds_so_many_completed_records() {
        let home = finished(300).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::open(home.path()).unwrap());
        let path = home.path().join("longhaul.db");
        let store = SqliteStore::open(&path, clock, SqliteOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1_000 };
        let listing = runtime.block_on(store.list(&ProcessFilter::default(), &page)).unwrap();
        assert_eq!(listing.processes.len(), 300);
        assert!(listing.processes.iter().all(|stored| stored.process.status() == Status::Completed));
    }
}
