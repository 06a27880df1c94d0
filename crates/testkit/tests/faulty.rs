//! Tests of the faulty store: planned faults occur, and no other faults.

use longhaul_adapters::memory::MemoryStore;
use longhaul_domain::{
    Capabilities, DecisionContext, Lineage, Process, ProcessId, RandomBits, Spec, TreeLimits, Work,
};
use longhaul_ports::{
    AttemptKey, Clock, EnvironmentStore, OutputLog, ProcessStore, Queues, SpawnError, Spawner, StartRequest,
    StoreError, Submission, SubmitLimits, SubmitOutcome,
};
use longhaul_testkit::fakes::{
    FakeEnvironmentStore, Fault, FaultPlan, FaultyEnvironmentStore, FaultyOutput, FaultySpawner, FaultyStore,
    PortCall, ScriptedSpawner, VirtualClock,
};
use std::sync::Arc;
use std::time::Duration;

fn open() -> (Arc<FaultyStore>, VirtualClock) {
    let clock = VirtualClock::default();
    let inner = MemoryStore::new(Arc::new(clock.clone()));
    (Arc::new(FaultyStore::new(Arc::new(inner), Arc::new(clock.clone()))), clock)
}

fn submission(clock: &VirtualClock, id: u128) -> Submission {
    let ctx = DecisionContext {
        now: clock.now(),
        awake: clock.awake(),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    };
    let spec = Spec::of(Work::Reported(longhaul_domain::ReportedSpec::default()));
    let id = ProcessId::new(uuid::Uuid::from_u128(id));
    let (process, events) = Process::submit(&ctx, id, Lineage::default(), Arc::new(spec));
    Submission {
        process,
        events,
        limits: SubmitLimits {
            policy: longhaul_domain::PolicyVersion(0),
            slots: None,
            tree: TreeLimits::default(),
        },
        claim_for: None,
        fail_if_queued: false,
    }
}

async fn is_there(store: &FaultyStore, id: u128) -> bool {
    let id = ProcessId::new(uuid::Uuid::from_u128(id));
    store.load(&[id]).await.is_ok_and(|loaded| loaded.iter().any(Option::is_some))
}

#[tokio::test(start_paused = true)]
async fn the_nth_call_of_a_kind_fails_and_nothing_was_written() {
    let (store, clock) = open();
    store.fail_on(PortCall::Submit, 2, Fault::Unavailable);
    store.submit(submission(&clock, 1)).await.unwrap();
    store.policy().await.unwrap();
    let error = store.submit(submission(&clock, 2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!is_there(&store, 2).await);
    store.submit(submission(&clock, 2)).await.unwrap();
    assert_eq!(store.calls().iter().filter(|call| **call == PortCall::Submit).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_answer_was_written() {
    let (store, clock) = open();
    store.fail(1, Fault::Unknown);
    let error = store.submit(submission(&clock, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error:?}");
    assert!(is_there(&store, 1).await);
    let again = store.submit(submission(&clock, 1)).await.unwrap();
    assert!(matches!(again, SubmitOutcome::Existing { same_spec: true, .. }), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_a_write_leaves_it_written() {
    let (store, clock) = open();
    for (id, fault, written) in [(1, Fault::CrashBefore, false), (2, Fault::CrashAfter, true)] {
        store.fail_on(PortCall::Submit, 1, fault);
        let caller = {
            let (store, new) = (Arc::clone(&store), submission(&clock, id));
            tokio::spawn(async move { store.submit(new).await })
        };
        store.crashed().await;
        assert!(!caller.is_finished());
        caller.abort();
        assert_eq!(is_there(&store, id).await, written);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_takes_virtual_time() {
    let (store, clock) = open();
    store.fail(1, Fault::Late(Duration::from_secs(30)));
    let begin = clock.now();
    let answer = clock.run_until(Duration::from_secs(60), store.submit(submission(&clock, 1))).await;
    answer.unwrap().unwrap();
    assert_eq!(clock.now(), begin.plus(Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_answers_nothing_until_it_is_back() {
    let (store, clock) = open();
    store.set_down(true);
    assert!(store.submit(submission(&clock, 1)).await.is_err());
    assert!(store.policy().await.is_err());
    store.set_down(false);
    store.submit(submission(&clock, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn chaos_strikes_some_calls_and_the_same_ones_for_a_seed() {
    async fn struck(seed: u64) -> Vec<bool> {
        let (store, clock) = open();
        store.set_chaos(seed, 4);
        let mut struck = Vec::new();
        for id in 0..200 {
            struck.push(store.submit(submission(&clock, id)).await.is_err());
        }
        struck
    }
    let first = struck(1).await;
    let count = first.iter().filter(|struck| **struck).count();
    assert!((20..=90).contains(&count), "{count} of 200");
    assert_eq!(first, struck(1).await);
    assert_ne!(first, struck(2).await);
}

#[tokio::test(start_paused = true)]
async fn the_other_ports_fail_with_the_store_and_a_dead_life_asks_nothing_any_more() {
    let clock = VirtualClock::default();
    let trouble = Arc::new(FaultPlan::mortal(Arc::new(clock.clone())));
    let children = Arc::new(ScriptedSpawner::new(clock.clone()));
    let spawner = FaultySpawner::sharing(children.clone(), trouble.clone());
    let store = FaultyEnvironmentStore::sharing(Arc::new(FakeEnvironmentStore::default()), trouble.clone());
    let output = FaultyOutput::sharing(Arc::new(children.output()), trouble.clone());
    let id = ProcessId::new(uuid::Uuid::from_u128(1));
    trouble.fail_on(PortCall::Start, 1, Fault::Unknown);
    let started = spawner.start(order(id)).await;
    assert!(matches!(started, Err(SpawnError::Unreachable { .. })), "{started:?}");
    assert_eq!(children.live().len(), 1, "it was started anyway");
    trouble.fail_on(PortCall::Keep, 1, Fault::Unavailable);
    assert!(store.keep(&[]).await.is_err(), "the first one fails");
    assert!(store.keep(&[]).await.is_ok(), "the second one does not");
    trouble.fail_on(PortCall::Remove, 1, Fault::Unavailable);
    assert!(output.remove(id).await.is_err(), "it is not removed");
    trouble.kill();
    let asked = tokio::time::timeout(Duration::from_secs(60), store.keep(&[])).await;
    assert!(asked.is_err(), "the dead are not answered");
}

fn order(id: ProcessId) -> StartRequest {
    let key = AttemptKey { id, attempt: longhaul_domain::AttemptNo(1) };
    StartRequest {
        key,
        command: longhaul_domain::CommandSpec::of("run", &[], "/"),
        environment: Vec::new(),
        leased: false,
    }
}
