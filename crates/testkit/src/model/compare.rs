//! A store and the model are asked the same, and have to answer the same.

use super::request::{No, Reply, Request};
use super::step::{Step, facts, steps};
use super::{Model, Row};
use crate::fakes::VirtualClock;
use crate::suite::{StoreWorld, instead_of, must};
use longhaul_domain::{Event, ProcessId, Revision};
use longhaul_ports::{Order, PageAsk, Stored};
use proptest::prelude::{BoxedStrategy, Just, Strategy};
use proptest::test_runner::{Config, TestError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use std::sync::atomic::Ordering;

/// So many scripts are tried by [`holds`].
const SCRIPTS: u32 = 64;
/// These nodes are there from the beginning: without one nothing happens.
const NODES: [u8; 2] = [0, 1];
/// The longest of them.
const LONGEST: usize = 60;

/// Holds a store to the model, over 64 scripts of up to 60 steps each. `PROPTEST_CASES` in the environment tries more.
///
/// # Panics
/// With the shortest script found whose answers differ.
pub fn holds(open: impl Fn(VirtualClock) -> StoreWorld) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    holds_in(open, asked.unwrap_or(SCRIPTS));
}

/// The same over so many scripts.
///
/// # Panics
/// With the shortest script found whose answers differ.
pub fn holds_in(open: impl Fn(VirtualClock) -> StoreWorld, scripts: u32) {
    let config = Config { cases: scripts, failure_persistence: None, ..Config::default() };
    let runner = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = must(runner);
    let scripts = Reference::sequential_strategy(1..LONGEST);
    let verdict = TestRunner::new(config).run(&scripts, |(mut model, script, seen)| {
        let clock = VirtualClock::default();
        let world = open(clock);
        runtime.block_on(async {
            for node in NODES {
                must(world.store.register(&facts(node)).await);
            }
            for step in &script {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                model = model.step(step);
                compare(&world, &model).await;
            }
        });
        Ok(())
    });
    match verdict {
        Ok(()) => {}
        Err(TestError::Fail(why, (_, script, _))) => {
            instead_of("the answers of the model", &format_args!("{why}, after {script:#?}"));
        }
        Err(error) => instead_of("a verdict", &error),
    }
}

/// The model, as it is driven by proptest.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        let nodes = NODES.into_iter().fold(Model::empty(), |model, node| model.step(&Step::Register(node)));
        Just(nodes).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        steps().boxed()
    }

    fn apply(state: Model, step: &Step) -> Model {
        state.step(step)
    }
}

/// Asks the store what the model was asked last, and compares the answer and everything that can be seen.
async fn compare(world: &StoreWorld, model: &Model) {
    let answer = ask(world, &model.asked).await;
    assert_eq!(answer, model.reply, "the answer to {:?}", model.asked);
    assert_eq!(records(world).await, model.rows.iter().map(Row::record).collect::<Vec<_>>(), "the records");
    assert_eq!(loaded(world, model).await, model.rows.iter().rev().map(Row::record).collect::<Vec<_>>());
    let now = model.now;
    for lease in model.nodes.iter().filter_map(|(node, _)| model.lease(node)) {
        let calls = must(world.store.beat(&lease).await);
        let due = model.first_due().map(|due| due.max(now));
        assert_eq!((calls.now, calls.due.map(|due| due.max(now))), (now, due), "when something is due");
        assert_eq!(calls.wishes, model.wished(&lease), "what was left for {lease:?}");
    }
    assert_eq!(must(world.store.queues(None).await), model.queues(), "the queues");
    assert_eq!(must(world.store.policy().await), model.policy, "the policy");
    assert_eq!(events(world).await, model.events, "the events");
}

async fn ask(world: &StoreWorld, asked: &Request) -> Reply {
    let store = &world.store;
    match asked {
        Request::Nothing => Reply::Done,
        Request::Submit(new) => {
            let answer = store.submit(new.as_ref().clone()).await;
            Reply::Submitted(Box::new(answer.map_err(No::from)))
        }
        Request::Claim(lease, room) => Reply::Records(store.claim(lease, room).await.map_err(No::from)),
        Request::Commit(change) => {
            Reply::Committed(store.commit(change.as_ref().clone()).await.map_err(No::from))
        }
        Request::Wish(id, op, wish) => Reply::Wished(store.wish(id, *op, *wish).await.map_err(No::from)),
        Request::Touch(by, id, attempt, vitals) => {
            let answers = store.touch(by, &[(*id, *attempt, vitals.clone())]).await;
            let answer = answers.map(|mut answers| answers.pop().unwrap_or(Ok(())));
            Reply::Touched(answer.and_then(|answer| answer).map_err(No::from))
        }
        Request::Attention(lease, most) => {
            Reply::Records(store.attention(lease, *most).await.map_err(No::from))
        }
        Request::Sweep(rule, most) => Reply::Swept(store.sweep(rule, *most).await.map_err(No::from)),
        Request::SetPolicy(expected, policy) => {
            Reply::Policy(store.set_policy(*expected, policy).await.map_err(No::from))
        }
        Request::Register(facts) => Reply::Registered(store.register(facts).await.map_err(No::from)),
        Request::Pass(span) => {
            world.clock.advance(*span);
            Reply::Done
        }
    }
}

impl Row {
    fn record(&self) -> Stored {
        self.stored.clone()
    }
}

async fn records(world: &StoreWorld) -> Vec<Stored> {
    let page = PageAsk { order: Order::OldestFirst, after: None, most: 1_000 };
    must(world.store.list(&longhaul_ports::Filter::default(), &page).await).processes
}

/// All that are there, the newest first, and nothing of those that were swept.
async fn loaded(world: &StoreWorld, model: &Model) -> Vec<Stored> {
    let there = model.rows.iter().rev().map(Row::id);
    let ids: Vec<ProcessId> = model.gone.iter().map(|(id, _)| *id).chain(there).collect();
    must(world.store.load(&ids).await).into_iter().flatten().collect()
}

async fn events(world: &StoreWorld) -> Vec<(ProcessId, Revision, u32, Event)> {
    let page = must(world.store.read(None, 100_000, false).await);
    page.events.into_iter().map(|logged| (logged.id, logged.revision, logged.index, logged.event)).collect()
}
