use crate::world::{World, command, retrying, seconds};
use longhaul_domain::{
    AgentDescriptor, AgentId, AttemptNo, ProcessId, ProcessName, SessionId, SlotKey, Spec, Status,
};
use longhaul_engine::ports::{AttemptKey, OutputRead};
use longhaul_engine::{EngineError, FollowProgress, ReferenceField, WaitCondition, WaitMode};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_wait_for_all_ends_with_the_last_and_for_any_with_the_first() {
    let world = World::new().await;
    let ids = [world.launch("exit 0 5000").await, world.launch("exit 1 1000").await];
    let any = world.engine.wait(&ids, WaitCondition::Ended, WaitMode::Any, None);
    let any = world.clock.run_until(seconds(60), any).await.unwrap().unwrap();
    let statuses: Vec<Status> = any.processes.iter().map(|stored| stored.process.status()).collect();
    assert_eq!(statuses, [Status::Running, Status::Failed]);
    let all = world.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
    let all = world.clock.run_until(seconds(60), all).await.unwrap().unwrap();
    assert!(all.processes.iter().all(|stored| stored.process.status().is_ended()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_timeout_and_the_process_continues() {
    let world = World::new().await;
    let id = world.launch("run").await;
    let wait =
        world.engine.wait(std::slice::from_ref(&id), WaitCondition::Ended, WaitMode::All, Some(seconds(5)));
    let waited = world.clock.run_until(seconds(60), wait).await.unwrap().unwrap();
    assert!(waited.timed_out);
    assert_eq!(world.status(id).await, Status::Running);
}

#[tokio::test(start_paused = true)]
async fn a_wait_loads_each_process_when_it_changes_and_not_whenever_one_does() {
    const MANY: u64 = 100;
    let world = World::with(|settings| settings.max_parallel = 1_000).await;
    let mut ids = Vec::new();
    for n in 0..MANY {
        ids.push(world.launch(&format!("exit 0 {}", 1_000 + 10 * n)).await);
    }
    world.settle().await;
    let before = world.store.loaded();
    let waited = world.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
    let waited = world.clock.run_until(seconds(60), waited).await.unwrap().unwrap();
    assert!(waited.processes.iter().map(|stored| stored.process.id).eq(ids.iter().copied()));
    assert!(waited.processes.iter().all(|stored| stored.process.status() == Status::Completed));
    let loaded = world.store.loaded() - before;
    assert!(loaded <= 10 * ids.len(), "{loaded} records were loaded for {MANY} ends");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_not_waited_for() {
    let world = World::new().await;
    let unknown = ProcessId::new(uuid::Uuid::from_u128(99));
    let waited = world.engine.wait(&[unknown], WaitCondition::Ended, WaitMode::All, None).await;
    assert!(matches!(waited, Err(EngineError::NotFound { .. })), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn at_last_never_selects_a_hook() {
    let world = World::new().await;
    let hook = || Spec { kind: "custom:hook".parse().unwrap(), ..command("run") };
    world.launch_spec(hook()).await;
    assert!(matches!(world.engine.find("@last").await, Err(EngineError::NotFound { .. })));
    let meant = world.launch_spec(command("run")).await;
    for _ in 0..60 {
        world.launch_spec(hook()).await;
    }
    assert_eq!(world.engine.find("@last").await.unwrap(), meant);
}

#[tokio::test(start_paused = true)]
async fn an_agent_refers_to_its_newest_live_process() {
    let world = World::new().await;
    let of_agent = || {
        let agent_id = AgentId::new("child-1").ok();
        Spec { agent: AgentDescriptor { agent_id, ..AgentDescriptor::default() }, ..command("run") }
    };
    let missing = world.engine.find("agent:child-1").await;
    assert!(matches!(missing, Err(EngineError::NotFound { .. })), "{missing:?}");
    let first = world.launch_spec(of_agent()).await;
    let second = world.launch_spec(of_agent()).await;
    assert_eq!(world.engine.find("agent:child-1").await.unwrap(), second);
    match world.engine.find_target("agent:child-1", None).await {
        Err(EngineError::Ambiguous { by: ReferenceField::Agent, candidates, .. }) => {
            assert_eq!(candidates.iter().map(|one| one.id).collect::<Vec<_>>(), [second, first]);
        }
        other => panic!("an action does not choose between two processes: {other:?}"),
    }
    world.cancel(second).await;
    world.end(second).await;
    assert_eq!(world.engine.find("agent:child-1").await.unwrap(), first);
    assert_eq!(world.engine.find_target("agent:child-1", None).await.unwrap(), first);
    let session = SessionId::new("other").unwrap();
    let bound = world.engine.find_for("agent:child-1", Some(&session)).await;
    assert!(matches!(bound, Err(EngineError::NotFound { .. })), "{bound:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_is_found_by_id_prefix_name_and_as_the_last() {
    let world = World::new().await;
    let named = Spec { name: ProcessName::new("tests").ok(), ..command("run") };
    let id = world.launch_spec(named.clone()).await;
    let text = id.to_string();
    for reference in
        [&text, &format!("bg-{text}"), &text[..6].to_owned(), &"tests".to_owned(), &"@last".to_owned()]
    {
        assert_eq!(world.engine.find(reference).await.unwrap(), id, "{reference}");
    }
    assert!(matches!(world.engine.find(&text[..3]).await, Err(EngineError::NotFound { .. })));
    let twin = world.launch_spec(named.clone()).await;
    match world.engine.find("tests").await {
        Err(EngineError::Ambiguous { candidates, .. }) => {
            assert_eq!(candidates.iter().map(|one| one.id).collect::<Vec<_>>(), [twin, id]);
        }
        other => panic!("{other:?}"),
    }
    world.cancel(twin).await;
    world.end(twin).await;
    assert_eq!(world.engine.find("tests").await.unwrap(), id, "the name selects the live process");
    for _ in 0..12 {
        let later = world.launch_spec(named.clone()).await;
        world.cancel(later).await;
        world.end(later).await;
    }
    assert_eq!(
        world.engine.find("tests").await.unwrap(),
        id,
        "the number of ended processes does not matter"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bound_caller_finds_processes_of_other_sessions_only_by_id() {
    let world = World::new().await;
    let session = |name: &str| SessionId::new(name).unwrap();
    let named = |name: &str, owner: &str| Spec {
        name: ProcessName::new(name).ok(),
        session: Some(session(owner)),
        ..command("run")
    };
    let mine = world.launch_spec(named("web", "alice")).await;
    world.cancel(mine).await;
    world.end(mine).await;
    let theirs = world.launch_spec(named("web", "bob")).await;
    let hidden = world.launch_spec(named("db", "bob")).await;
    let alice = session("alice");
    let find = async |reference: &str| world.engine.find_for(reference, Some(&alice)).await;
    assert_eq!(
        find("web").await.unwrap(),
        mine,
        "an own ended process comes before a live process of others"
    );
    assert_eq!(find("@last").await.unwrap(), mine);
    for reference in [theirs.to_string(), format!("bg-{theirs}"), theirs.to_string()[..8].to_owned()] {
        assert_eq!(find(&reference).await.unwrap(), theirs, "{reference}");
    }
    match find("db").await {
        Err(EngineError::OtherSessions { candidates, .. }) => {
            assert_eq!(candidates[0].id, hidden);
            assert_eq!(candidates[0].session, Some(session("bob")));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.engine.find("db").await.unwrap(), hidden, "an unbound caller finds the process by name");
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_woken_by_output_and_by_the_end_of_the_attempt() {
    let world = World::new().await;
    let id = world.launch("echo hello").await;
    world.end(id).await;
    let key = AttemptKey { id, attempt: AttemptNo(1) };
    let page = world.engine.output(key, OutputRead { from: 0, limit: 100, only: None }).await.unwrap();
    assert_eq!(page.chunks[0].bytes, b"hello\n");
    let followed = world.engine.follow(id, key.attempt, page.next).await.unwrap();
    assert_eq!(followed, FollowProgress::Over);
    let long = world.launch("run").await;
    world.settle().await;
    let key = AttemptKey { id: long, ..key };
    let engine = world.engine.clone();
    let follower = tokio::spawn(async move { engine.follow(long, key.attempt, 0).await });
    world.clock.settle().await;
    assert!(!follower.is_finished());
    world.spawner.output().write(key, longhaul_engine::ports::OutputSource::Stdout, b"more");
    assert_eq!(
        world.clock.run_until(Duration::from_secs(1), follower).await.unwrap().unwrap().unwrap(),
        FollowProgress::Changed
    );
}

#[tokio::test(start_paused = true)]
async fn follower_of_an_attempt_waits_for_its_start_and_not_beyond_its_end() {
    let world = World::new().await;
    let id = world.launch_spec(retrying("exit 1 2000", 1)).await;
    let over = |attempt| world.engine.follow(id, AttemptNo(attempt), u64::MAX);
    let waits_for = |attempt| {
        let engine = world.engine.clone();
        tokio::spawn(async move { engine.follow(id, AttemptNo(attempt), u64::MAX).await })
    };
    world.settle().await;
    let first = waits_for(1);
    world.clock.settle().await;
    assert!(!first.is_finished(), "the first attempt runs");
    world.pass(seconds(2)).await;

    assert_eq!(world.status(id).await, Status::Pending, "the process waits for its second attempt");
    assert_eq!(over(1).await.unwrap(), FollowProgress::Over);
    let second = waits_for(2);
    world.clock.settle().await;
    assert!(!second.is_finished(), "the second attempt has not started");
    world.pass(seconds(1)).await;

    assert_eq!(world.status(id).await, Status::Running);
    assert_eq!(over(1).await.unwrap(), FollowProgress::Over);
    assert_eq!(world.end(id).await, Status::Failed);
    assert_eq!(over(2).await.unwrap(), FollowProgress::Over);
}

#[tokio::test(start_paused = true)]
async fn follower_of_a_process_that_never_ran_waits_for_a_change() {
    let world = World::new().await;
    let key: SlotKey = "k".parse().unwrap();
    world.engine.hold_queue(&key, None).await.unwrap();
    let id = world.launch_spec(Spec { key: Some(key), ..command("run") }).await;
    let engine = world.engine.clone();
    let follower = tokio::spawn(async move { engine.follow(id, AttemptNo(0), 0).await });
    world.pass(seconds(5)).await;
    assert!(!follower.is_finished());
}
