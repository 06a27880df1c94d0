//! Tests of the small read methods of an engine handle.

use crate::nodes::Cluster;
use crate::queues::{key, keyed, with_slots};
use crate::world::{World, command, node, retrying, seconds};
use longhaul_domain::{
    AgentDescriptor, AgentId, LaunchKey, NoOpReason, NodeId, PendingAction, Priority, ProcessId, ProcessName,
    SessionId, SlotKey, Spec, Status,
};
use longhaul_engine::ports::{
    AttemptKey, EventCursor, EventLog, IdSource, Loss, NodeDescriptor, PageRequest, ProcessFilter,
    ProcessStore, SortOrder, Store,
};
use longhaul_engine::{EngineError, Shutdown, SubscriptionItem, WaitCondition, WaitMode};
use longhaul_testkit::fakes::{Fault, PortCall, SequentialIds};
use std::time::Duration;

fn unknown_id() -> ProcessId {
    SequentialIds::seeded(99).process()
}

#[tokio::test(start_paused = true)]
async fn log_is_read_page_by_page_and_waits_for_events_until_the_engine_ends() {
    let world = World::new().await;
    world.launch("exit 0").await;
    world.pass(seconds(1)).await;
    let all = world.engine.log(None, 100, true).await.unwrap().events;
    assert!(all.len() > 3, "{all:?}");
    let end = world.engine.log_end().await.unwrap();
    assert_eq!(end, all.last().unwrap().cursor);
    assert!(end > EventCursor::default());
    let rest = world.engine.log(Some(all[0].cursor), 2, false).await.unwrap().events;
    assert_eq!(rest, all[1..3]);
    assert_eq!(world.engine.log(Some(end), 10, false).await.unwrap().events, []);
    let (engine, spawned) = (world.engine.clone(), world.engine.clone());
    let waits = tokio::spawn(async move { spawned.log(Some(end), 10, true).await });
    let over = tokio::spawn(async move { engine.over().await });
    world.settle().await;
    assert!(!waits.is_finished() && !over.is_finished());
    world.launch("run").await;
    world.settle().await;
    assert!(!waits.await.unwrap().unwrap().events.is_empty());
    assert!(!over.is_finished());
    world.shut_down(Shutdown::Leave).await;
    world.settle().await;
    assert!(over.is_finished());
    let end = world.store.end().await.unwrap();
    assert_eq!(world.engine.log(Some(end), 10, true).await.unwrap().events, [], "no reader waits any more");
}

#[tokio::test(start_paused = true)]
async fn records_are_returned_in_the_order_of_the_ids_with_a_hole_for_an_unknown_one() {
    let world = World::new().await;
    let (first, second) = (world.launch("run").await, world.launch("run").await);
    let found = world.engine.processes(&[second, unknown_id(), first]).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|stored| stored.map(|stored| stored.process.id)).collect();
    assert_eq!(found, [Some(second), None, Some(first)]);
}

#[tokio::test(start_paused = true)]
async fn sleep_ends_at_its_time() {
    let world = World::new().await;
    let (engine, later) = (world.engine.clone(), world.engine.now().plus(seconds(7)));
    let spans = tokio::spawn(async move { engine.sleep(seconds(5)).await });
    let engine = world.engine.clone();
    let moment = tokio::spawn(async move { engine.sleep_until(later).await });
    world.pass(seconds(4)).await;
    assert!(!spans.is_finished() && !moment.is_finished());
    world.pass(seconds(2)).await;
    assert!(spans.is_finished() && !moment.is_finished());
    world.pass(seconds(2)).await;
    assert!(moment.is_finished());
}

#[tokio::test(start_paused = true)]
async fn random_numbers_are_not_all_alike() {
    let world = World::new().await;
    let drawn: Vec<u64> = (0..4).map(|_| world.engine.chance()).collect();
    assert!(drawn.iter().any(|number| *number > 1), "{drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn wait_for_a_revision_ends_with_the_change_or_with_its_patience() {
    let world = World::new().await;
    let id = world.launch("exit 0 5000").await;
    world.settle().await;
    let now = world.stored(id).await.revision;
    let before = longhaul_domain::Revision(now.0 - 1);
    let at_once = world.engine.wait_for_revision(id, before, seconds(60)).await.unwrap();
    assert_eq!(at_once.unwrap().revision, now);
    let began = world.engine.now();
    let waits = world.engine.wait_for_revision(id, now, seconds(2));
    assert_eq!(world.clock.run_until(seconds(60), waits).await.unwrap().unwrap(), None);
    assert_eq!(world.engine.now().since(began), seconds(2));
    let waits = world.engine.wait_for_revision(id, now, seconds(60));
    let changed = world.clock.run_until(seconds(60), waits).await.unwrap().unwrap().unwrap();
    assert_eq!(changed.process.status(), Status::Completed);
    assert_eq!(world.engine.now().since(began), seconds(5));
    let unknown = world.engine.wait_for_revision(unknown_id(), now, seconds(2)).await;
    assert!(matches!(unknown, Err(EngineError::NotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn lost_output_is_reported() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    let key = AttemptKey { id, attempt: world.stored(id).await.process.attempt };
    assert_eq!(world.engine.output_losses(key).await.unwrap(), []);
    world.spawner.output().lose(key, 12);
    assert_eq!(world.engine.output_losses(key).await.unwrap(), [Loss { offset: 0, bytes: 12 }]);
}

#[tokio::test(start_paused = true)]
async fn node_that_runs_cannot_be_forgotten_and_only_expiring_leases_make_a_store_shared() {
    let world = World::new().await;
    assert!(!world.engine.is_shared());
    let refused = world.engine.forget(&node()).await;
    assert!(matches!(refused, Err(EngineError::NodeAlive { .. })), "{refused:?}");
    let cluster = Cluster::new();
    assert!(cluster.node("a", 1).await.engine.is_shared());
}

#[tokio::test(start_paused = true)]
async fn manager_learns_that_another_one_has_taken_its_name() {
    let cluster = Cluster::new();
    let old = cluster.node("a", 1).await;
    let engine = old.engine.clone();
    let replaced = tokio::spawn(async move { engine.replaced().await });
    cluster.pass(seconds(10)).await;
    assert!(!replaced.is_finished());
    let _new = cluster.node("a", 2).await;
    cluster.pass(seconds(10)).await;
    assert!(replaced.is_finished());
}

#[tokio::test(start_paused = true)]
async fn unknown_name_is_not_found_even_for_a_bound_caller() {
    let world = World::new().await;
    let owned = |owner: &str| Spec { session: SessionId::new(owner).ok(), ..command("run here") };
    world.launch_spec(owned("bob")).await;
    let alice = SessionId::new("alice").unwrap();
    for reference in ["cache", "@last", "not/a/name"] {
        let found = world.engine.find_for(reference, Some(&alice)).await;
        assert!(matches!(found, Err(EngineError::NotFound { .. })), "{reference}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn prefix_may_contain_dashes_and_nothing_that_no_id_contains() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let text = id.to_string();
    for prefix in [&text[..10], &text[..14], &text[..text.len() - 1]] {
        assert_eq!(world.engine.find(prefix).await.unwrap(), id, "{prefix}");
    }
    assert_eq!(world.engine.find(&text[..4].to_ascii_uppercase()).await.unwrap(), id);
}

#[tokio::test(start_paused = true)]
async fn candidates_are_distinguished_by_their_command() {
    let world = World::new().await;
    let named = |words: &str| Spec { name: ProcessName::new("web").ok(), ..command(words) };
    for words in ["run one", "run two words"] {
        world.launch_spec(named(words)).await;
    }
    world.pass(seconds(3)).await;
    let Err(EngineError::Ambiguous { candidates, .. }) = world.engine.find("web").await else {
        panic!("two processes have the name")
    };
    let commands: Vec<Vec<String>> = candidates.iter().map(|one| one.command.clone()).collect();
    assert_eq!(commands, [vec!["run", "two", "words"], vec!["run", "one"]]);
    assert!(candidates.iter().all(|one| one.directory.as_deref() == Some("/work")));
    assert!(candidates.iter().all(|one| one.age == seconds(3)));
}

#[tokio::test(start_paused = true)]
async fn agent_without_a_process_is_not_found_among_those_of_others() {
    let world = World::new().await;
    let agent = |name: &str| AgentId::new(name).unwrap();
    let descriptor = AgentDescriptor { agent_id: Some(agent("one")), ..AgentDescriptor::default() };
    let id = world.launch_spec(Spec { agent: descriptor, ..command("run") }).await;
    world.launch("run").await;
    let found = world.engine.agent(&agent("one")).await.unwrap();
    assert_eq!(found.map(|stored| stored.process.id), Some(id));
    assert_eq!(world.engine.agent(&agent("two")).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn agent_waits_for_a_slot_of_its_model_or_of_the_configured_key() {
    let world = World::with(|settings| settings.default_key = SlotKey::new("agents").ok()).await;
    let launched = async |model: Option<&str>, prompt: Option<&str>| {
        let agent = AgentDescriptor {
            model: model.map(ToOwned::to_owned),
            prompt: prompt.map(ToOwned::to_owned),
            ..AgentDescriptor::default()
        };
        let id = world.launch_spec(Spec { agent, ..command("run") }).await;
        world.stored(id).await.process.spec.key.clone()
    };
    assert_eq!(launched(Some("opus"), Some("do it")).await, Some(key("opus")));
    assert_eq!(launched(None, Some("do it")).await, Some(key("agents")));
    assert_eq!(launched(Some("opus"), None).await, None, "without a prompt it is no agent");
}

#[tokio::test(start_paused = true)]
async fn move_to_the_front_of_the_highest_priority_needs_an_earlier_submission() {
    let world = with_slots(&[("k", 1)]).await;
    world.launch_spec(keyed("run", "k")).await;
    let early = world.launch_spec(keyed("run", "k")).await;
    let first = world.launch_spec(keyed("run", "k")).await;
    let late = world.launch_spec(keyed("run", "k")).await;
    world.settle().await;
    let highest = Priority::stored(i64::from(i32::MAX)).unwrap();
    world.ask(first, longhaul_domain::Action::Prioritize { priority: highest }).await.unwrap();
    let refused = world.engine.move_first(late).await;
    assert!(matches!(refused, Err(EngineError::Invalid { what: "move", .. })), "{refused:?}");
    let nothing = world.engine.move_first(first).await.unwrap();
    assert_eq!((nothing.changed, nothing.note), (false, Some(NoOpReason::NoChange)));
    let moved = world.engine.move_first(early).await.unwrap();
    assert_eq!((moved.changed, moved.stored.process.priority), (true, highest));
    let queue = world.engine.queues(Some(&key("k"))).await.unwrap().pop().unwrap();
    assert_eq!(queue.waiters, [early, first, late]);
}

#[tokio::test(start_paused = true)]
async fn policy_change_is_tried_a_bounded_number_of_times() {
    let world = World::new().await;
    for _ in 0..30 {
        world.store.fail_on(PortCall::SetPolicy, 1, Fault::Unknown);
    }
    // Each try changes the policy again, because otherwise the second try would not change the policy.
    let before = world.store.calls().iter().filter(|call| **call == PortCall::SetPolicy).count();
    assert_eq!(before, 0);
    let limit = world.engine.set_slots("k", Some(3)).await.unwrap();
    assert_eq!(limit.slots.get("k"), Some(&3), "the first try had succeeded");
}

#[tokio::test(start_paused = true)]
async fn second_restart_for_a_key_returns_the_first_and_a_key_of_another_launch_is_refused() {
    let world = World::new().await;
    let (one, other) = (world.launch("exit 0").await, world.launch("exit 0").await);
    for id in [one, other] {
        world.end(id).await;
    }
    let restart = |name: &str| LaunchKey::new(name).unwrap();
    let first = world.engine.restart_once(one, None, restart("r")).await.unwrap();
    let again = world.engine.restart_once(one, None, restart("r")).await.unwrap();
    assert!(first.created && !again.created);
    assert_eq!(first.stored.process.id, again.stored.process.id);
    let refused = world.engine.restart_once(other, None, restart("r")).await;
    assert!(
        matches!(&refused, Err(EngineError::KeyConflict { key, holder, .. })
            if key == "r" && *holder == first.stored.process.id),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn launch_key_conflict_and_pruned_holder_name_the_key() {
    let world = World::new().await;
    let keyed = |words: &str| Spec { launch_key: LaunchKey::new("once").ok(), ..command(words) };
    let first = world.launch_spec(keyed("exit 0")).await;
    let refused = world.try_launch(keyed("exit 1")).await;
    assert!(
        matches!(&refused, Err(EngineError::KeyConflict { key, holder, .. }) if key == "once" && *holder == first),
        "{refused:?}"
    );
    world.end(first).await;
    world.pass(seconds(1)).await;
    let everything = longhaul_domain::Retention { age: None, count: Some(0), before: None };
    world.engine.prune(&everything, None, false).await.unwrap();
    let refused = world.try_launch(keyed("exit 0")).await;
    assert!(
        matches!(&refused, Err(EngineError::LaunchPruned { key, id }) if key == "once" && *id == first),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn restart_of_a_delayed_launch_starts_at_once() {
    let world = World::new().await;
    let not_before = Some(world.engine.now().plus(seconds(60)));
    let id = world.launch_spec(Spec { not_before, ..command("run") }).await;
    world.cancel(id).await;
    let again = world.engine.restart(id, None).await.unwrap().stored.process.id;
    world.settle().await;
    assert_eq!(world.status(again).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn usage_of_a_process_between_two_attempts_is_unknown() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("exit 1 1000", 3)).await;
    world.settle().await;
    assert!(world.engine.usage(id).await.unwrap().is_some());
    assert!(world.engine.look(id).await.unwrap().is_some());
    world.pass(Duration::from_millis(1_001)).await;
    assert_eq!(world.status(id).await, Status::Pending);
    assert_eq!(world.engine.usage(id).await.unwrap(), None);
    assert_eq!(world.engine.look(id).await.unwrap(), None);
    let starts = world.launch("slow 5000").await;
    world.settle().await;
    assert_eq!(world.status(starts).await, Status::Starting);
    assert_eq!(world.engine.usage(starts).await.unwrap(), None);
    assert_eq!(world.engine.look(starts).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn reads_of_many_records_or_of_none_cost_few_requests() {
    let world = World::with(|settings| settings.max_parallel = 0).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(world.launch("run").await);
    }
    world.settle().await;
    let reads = || world.store.calls().iter().filter(|call| **call == PortCall::Read).count();
    let before = reads();
    world.engine.wait(&ids, WaitCondition::Running, WaitMode::All, None).await.unwrap();
    assert_eq!(reads() - before, 1);
    let before = reads();
    assert!(world.engine.find("nothing").await.is_err());
    assert_eq!(reads() - before, 2, "one for the live ones of that name and one for all");
}

#[tokio::test(start_paused = true)]
async fn subscription_from_the_current_end_is_no_resync() {
    let world = World::new().await;
    world.launch("exit 0").await;
    world.pass(seconds(1)).await;
    let end = world.engine.log_end().await.unwrap();
    let mut subscription = world.engine.subscribe(Some(end), 10).await.unwrap();
    let id = world.launch("run").await;
    world.settle().await;
    let first = subscription.next().await;
    assert!(matches!(&first, Some(SubscriptionItem::Event(logged)) if logged.id == id), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn reader_of_the_log_waits_before_it_tries_again() {
    let world = World::new().await;
    let _subscription = world.engine.subscribe(None, 10).await.unwrap();
    world.settle().await;
    let reads = || world.store.calls().iter().filter(|call| **call == PortCall::Events).count();
    for _ in 0..3 {
        world.store.fail_on(PortCall::Events, 1, Fault::Unavailable);
    }
    let before = reads();
    world.launch("run").await;
    world.settle().await;
    assert_eq!(reads() - before, 1);
    world.pass(seconds(10)).await;
    assert!(reads() - before >= 4);
}

#[tokio::test(start_paused = true)]
async fn callback_gets_the_events_after_its_registration() {
    let world = World::new().await;
    world.launch("exit 0").await;
    world.pass(seconds(1)).await;
    world.store.fail_on(PortCall::Events, 1, Fault::Unavailable);
    let (sender, heard) = std::sync::mpsc::channel();
    let mut guard = world.engine.on_event(move |notice| sender.send(notice.clone()).unwrap());
    {
        let mut listening = std::pin::pin!(guard.listening());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(listening.as_mut().poll(&mut context).is_pending());
    }
    world.pass(seconds(10)).await;
    guard.listening().await;
    let id = world.launch("run").await;
    world.settle().await;
    let first = heard.recv_timeout(seconds(60)).unwrap();
    assert!(matches!(&first, SubscriptionItem::Event(logged) if logged.id == id), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn move_of_a_store_interrupts_only_the_attempts_of_its_node() {
    let cluster = Cluster::new();
    let (a, b) = (cluster.node("a", 1).await, cluster.node("b", 2).await);
    let (own, other) = (a.launch(command("run")).await, b.launch(command("run")).await);
    cluster.pass(seconds(1)).await;
    a.engine.abandon();
    let me = NodeDescriptor {
        id: NodeId::new("a").unwrap(),
        home: None,
        boot: "b".to_owned(),
        version: "0".to_owned(),
    };
    let store: &dyn Store = &cluster.store;
    let lease = store.register(&me).await.unwrap();
    let ids = SequentialIds::seeded(5);
    let count =
        longhaul_engine::interrupt_attempts(store, &cluster.clock, &ids, &lease, "/old").await.unwrap();
    assert_eq!(count, 1);
    assert_eq!((b.status(own).await, b.status(other).await), (Status::Interrupted, Status::Running));
}

#[tokio::test(start_paused = true)]
async fn terminate_of_an_ended_process_checks_a_given_revision() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    world.pass(seconds(1)).await;
    let now = world.stored(id).await.revision;
    let reported = world.engine.terminate(id, false, Some(now)).await.unwrap();
    assert_eq!((reported.changed, reported.note), (false, Some(NoOpReason::AlreadyEnded)));
    let before = longhaul_domain::Revision(now.0 - 1);
    let refused = world.engine.terminate(id, false, Some(before)).await;
    assert!(matches!(refused, Err(EngineError::RevisionMoved { found, .. }) if found == now), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn wait_until_all_run_counts_none_that_runs_no_longer() {
    let world = World::new().await;
    let first = world.launch_spec(retrying("exit 1 1000", 9)).await;
    world.settle().await;
    let not_before = Some(world.engine.now().plus(Duration::from_millis(1_100)));
    let second = world.launch_spec(Spec { not_before, ..command("run") }).await;
    let ids = [first, second];
    let waits = world.engine.wait(&ids, WaitCondition::Running, WaitMode::All, None);
    let waited = world.clock.run_until(seconds(3_600), waits).await.unwrap().unwrap();
    for stored in &waited.processes {
        assert_eq!(stored.process.status(), Status::Running);
        assert_eq!(stored.revision, world.stored(stored.process.id).await.revision);
    }
}

#[tokio::test(start_paused = true)]
async fn process_whose_end_is_not_recorded_yet_is_not_listed_as_running() {
    let world = World::new().await;
    let (ends, runs) = (world.launch("exit 0 1000").await, world.launch("run").await);
    world.settle().await;
    world.store.set_full(true);
    world.pass(seconds(3)).await;
    let filter = ProcessFilter { statuses: vec![Status::Running], ..ProcessFilter::default() };
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 10 };
    let listing = world.engine.list(&filter, &page).await.unwrap();
    let listed: Vec<ProcessId> = listing.processes.iter().map(|stored| stored.process.id).collect();
    assert_eq!(listed, [runs]);
    assert_eq!(world.status(ends).await, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn action_shows_none_of_the_pending_actions_that_were_executed_before() {
    let mut world = World::new().await;
    let id = world.launch("run").await;
    world.settle().await;
    world.engine.abandon();
    world.settle().await;
    for action in [PendingAction::Pause, PendingAction::Resume] {
        world.store.enqueue_action(&id, world.ids.op(), action).await.unwrap();
    }
    world.spawner = std::sync::Arc::new(world.spawner.reopened());
    world.start().await;
    world.pass(seconds(1)).await;
    assert_eq!(world.status(id).await, Status::Running);
    let paused = world.ask(id, longhaul_domain::Action::Pause).await.unwrap();
    assert_eq!((paused.changed, paused.stored.pending_actions), (true, vec![]));
}
