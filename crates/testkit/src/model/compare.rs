//! Compares a store with the model: both get the same requests and must give the same replies.

use super::difference::difference;
use super::request::{ModelRejection, ModelReply, ModelRequest};
use super::silence_panics::SilencePanics;
use super::step::{ScriptStep, facts, steps};
use super::{ModelRow, StoreModel};
use crate::fakes::VirtualClock;
use crate::suite::{StoreFixture, instead_of, must};
use longhaul_domain::{Event, NodeId, ProcessId, Revision};
use longhaul_ports::{PageRequest, SortOrder, StoredProcess};
use proptest::prelude::{BoxedStrategy, Just, Strategy};
use proptest::test_runner::{Config, TestError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use std::cell::Cell;
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Maximum number of scripts that [`holds`] runs.
const SCRIPTS: u32 = 256;
/// Minimum number of scripts that [`model_suite!`](crate::model_suite) runs by default, even if the store is slow.
pub const MIN_SCRIPTS: u32 = 64;
/// Time after which no further script starts, provided that the minimum number of scripts has run.
const QUICK: Duration = Duration::from_secs(3);
/// Nodes that are registered at the start of each script, because nothing can be claimed without a node.
const NODES: [u8; 2] = [0, 1];
/// Upper bound of all delays in a script. Leases last longer, so a due time above this bound must be the expiry of a
/// lease.
const MAX_DUE_DELAY: Duration = Duration::from_secs(24 * 3600);
/// Upper limit (exclusive) of the number of steps in a script.
const MAX_SCRIPT_LEN: usize = 60;

/// Compares a store with the model in up to 256 scripts of up to 60 steps each. At least `fewest` scripts run. After
/// them, no further script starts if more than three seconds have passed. The environment variable `PROPTEST_CASES` sets
/// a fixed number of scripts instead.
///
/// # Panics
/// Panics with the shortest script found for which the replies differ.
pub fn holds(open: impl AsyncFn(VirtualClock) -> StoreFixture, fewest: u32) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    match asked {
        Some(asked) => holds_in(open, asked),
        None => try_scripts(open, SCRIPTS, fewest),
    }
}

/// Compares a store with the model over this number of scripts.
///
/// # Panics
/// Panics with the shortest script found for which the replies differ.
pub fn holds_in(open: impl AsyncFn(VirtualClock) -> StoreFixture, scripts: u32) {
    try_scripts(open, scripts, scripts);
}

fn try_scripts(open: impl AsyncFn(VirtualClock) -> StoreFixture, scripts: u32, fewest: u32) {
    let config = Config { cases: scripts, failure_persistence: None, ..Config::default() };
    let runner = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = must(runner);
    let scripts = ModelMachine::sequential_strategy(1..MAX_SCRIPT_LEN);
    let (began, tried, failed) = (Instant::now(), Cell::new(0_u32), Cell::new(false));
    let hush = SilencePanics::begin();
    let verdict = TestRunner::new(config).run(&scripts, |(mut model, script, seen)| {
        // After the first failure, proptest searches for a shorter failing script. This search has no time limit.
        if !failed.get() && tried.get() >= fewest && began.elapsed() > QUICK {
            return Ok(());
        }
        tried.set(tried.get().saturating_add(1));
        let before = failed.replace(true);
        let clock = VirtualClock::default();
        runtime.block_on(async {
            let world = open(clock).await;
            model.leases_expire = world.store.leases_expire();
            for node in NODES {
                must(world.store.register(&facts(node, None)).await);
            }
            for step in &script {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                model = model.step(step);
                compare(&world, &model).await;
            }
        });
        failed.set(before);
        Ok(())
    });
    let last = hush.last();
    drop(hush);
    match verdict {
        Ok(()) => {}
        Err(TestError::Fail(why, (_, script, _))) => {
            let why = last.unwrap_or_else(|| why.to_string());
            instead_of("the answers of the model", &format_args!("{why}\nafter {script:#?}"));
        }
        Err(error) => instead_of("a verdict", &error),
    }
}

/// The model as a reference state machine for proptest.
struct ModelMachine;

impl ReferenceStateMachine for ModelMachine {
    type State = StoreModel;
    type Transition = ScriptStep;

    fn init_state() -> BoxedStrategy<StoreModel> {
        let nodes = NODES
            .into_iter()
            .fold(StoreModel::empty(), |model, node| model.step(&ScriptStep::Register { node, home: None }));
        Just(nodes).boxed()
    }

    fn transitions(_: &StoreModel) -> BoxedStrategy<ScriptStep> {
        steps().boxed()
    }

    fn apply(state: StoreModel, step: &ScriptStep) -> StoreModel {
        state.step(step)
    }
}

/// Sends the last request of the model to the store, and compares the replies and the complete visible state.
async fn compare(world: &StoreFixture, model: &StoreModel) {
    let answer = ask(world, &model.asked).await;
    same(&format!("the answer to {:?}", model.asked), &answer, &model.reply);
    let mut rows: Vec<StoredProcess> = model.rows.iter().map(ModelRow::record).collect();
    same("the records", &records(world).await, &rows);
    rows.reverse();
    same("the records by their ids", &loaded(world, model).await, &rows);
    let now = model.now;
    for lease in model.nodes.iter().filter_map(|(node, _)| model.lease(node)) {
        let calls = must(world.store.renew_lease(&lease).await);
        let due = model.first_due().map(|due| due.max(now));
        // The expiry of a lease is a due time too. It is much later than all other due times and is ignored here.
        let due_at = calls.due.filter(|due| !model.leases_expire || *due < now.plus(MAX_DUE_DELAY));
        let clock = (calls.now, due_at.map(|due| due.max(now)));
        same("the time, and when something is due", &clock, &(now, due));
        same(&format!("what was left for {lease:?}"), &calls.pending_actions, &model.wished(&lease));
    }
    same("the queues", &must(world.store.queues(None).await), &model.queues());
    same("the policy", &must(world.store.policy().await), &model.policy);
    let mut nodes: Vec<NodeId> = must(world.store.nodes().await).into_iter().map(|node| node.id).collect();
    nodes.sort();
    same("the nodes", &nodes, &model.listed());
    same("the events", &events(world).await, &model.events);
}

/// Panics if the two values differ, with a description of the difference.
#[track_caller]
fn same<T: Debug + PartialEq>(what: &str, store: &T, model: &T) {
    let difference = difference(store, model);
    assert!(difference.is_none(), "{what}:{}", difference.unwrap_or_default());
}

async fn ask(world: &StoreFixture, asked: &ModelRequest) -> ModelReply {
    let store = &world.store;
    match asked {
        ModelRequest::Nothing => ModelReply::Done,
        ModelRequest::Submit(new) => {
            let answer = store.submit(new.as_ref().clone()).await;
            ModelReply::Submitted(Box::new(answer.map_err(ModelRejection::from)))
        }
        ModelRequest::Claim(lease, room) => {
            ModelReply::Records(store.claim(lease, room).await.map_err(ModelRejection::from))
        }
        ModelRequest::Commit(change) => {
            ModelReply::Committed(store.commit(change.as_ref().clone()).await.map_err(ModelRejection::from))
        }
        ModelRequest::Wish(id, op, action) => {
            ModelReply::Wished(store.enqueue_action(id, *op, *action).await.map_err(ModelRejection::from))
        }
        ModelRequest::Touch(by, id, attempt, live_stats) => {
            let answers = store.update_live_stats(by, &[(*id, *attempt, live_stats.clone())]).await;
            let answer = answers.map(|mut answers| answers.pop().unwrap_or(Ok(())));
            ModelReply::Touched(answer.and_then(|answer| answer).map_err(ModelRejection::from))
        }
        ModelRequest::Attention(lease, limit) => {
            ModelReply::Records(store.claim_due(lease, *limit).await.map_err(ModelRejection::from))
        }
        ModelRequest::Prune(rule, limit) => {
            ModelReply::Pruned(store.prune(rule, *limit).await.map_err(ModelRejection::from))
        }
        ModelRequest::SetPolicy(expected, policy) => {
            ModelReply::Policy(store.set_policy(*expected, policy).await.map_err(ModelRejection::from))
        }
        ModelRequest::Register(facts) => {
            ModelReply::Registered(store.register(facts).await.map_err(ModelRejection::from))
        }
        ModelRequest::Leave(lease) => {
            ModelReply::Left(store.leave(lease).await.map_err(ModelRejection::from))
        }
        ModelRequest::Pass(span) => {
            world.clock.advance(*span);
            ModelReply::Done
        }
    }
}

impl ModelRow {
    fn record(&self) -> StoredProcess {
        self.stored.clone()
    }
}

async fn records(world: &StoreFixture) -> Vec<StoredProcess> {
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 1_000 };
    must(world.store.list(&longhaul_ports::ProcessFilter::default(), &page).await).processes
}

/// Loads all processes by id, newest first. Ids of pruned processes are requested too and must return nothing.
async fn loaded(world: &StoreFixture, model: &StoreModel) -> Vec<StoredProcess> {
    let there = model.rows.iter().rev().map(ModelRow::id);
    let ids: Vec<ProcessId> = model.gone.iter().map(|(id, _)| *id).chain(there).collect();
    must(world.store.load(&ids).await).into_iter().flatten().collect()
}

async fn events(world: &StoreFixture) -> Vec<(ProcessId, Revision, u32, Event)> {
    let page = must(world.store.read(None, 100_000, false).await);
    page.events.into_iter().map(|logged| (logged.id, logged.revision, logged.index, logged.event)).collect()
}
