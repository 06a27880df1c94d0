//! Tests with lost or wrong replies, and with servers that stop, restart or change their settings.

use crate::proxy::Proxy;
use crate::server::{Server, error_of, free_port, wait_for};
use longhaul_adapters::redis::{Durability, LeaseTimes, RedisOptions, RedisStore};
use longhaul_domain::{NodeId, PendingAction, Placement};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opens a store behind a proxy that loses replies when the test requests it.
async fn behind_a_proxy() -> (StoreFixture, Proxy) {
    let server = Server::start();
    let proxy = Proxy::before(&server.socket(), &server.directory().join("proxy"));
    let clock = VirtualClock::default();
    let url = format!("redis+unix://{}", proxy.socket().display());
    let options = RedisOptions { url, clock: Some(Arc::new(clock.clone())), ..server.options() };
    let store = RedisStore::open(options).await.unwrap();
    (StoreFixture::new(Arc::new(store), clock).guarded(server), proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_got_lost_counts_once() {
    let (world, proxy) = behind_a_proxy().await;
    let facts = NodeDescriptor { id: node("a"), home: None, boot: "b".to_owned(), version: "1".to_owned() };
    proxy.lose_answers_after(0);
    let lease = world.store.register(&facts).await.unwrap();
    assert_eq!(lease.epoch, longhaul_domain::Epoch(1), "a repeated registration has one effect");

    let submission = world.submission(world.draft().key("k")).await;
    let id = submission.process.id;
    proxy.lose_answers_after(0);
    let submitted = world.store.submit(submission).await.unwrap();
    assert!(
        matches!(submitted, SubmitOutcome::Existing { id: known, same_spec: true, .. } if known == id),
        "{submitted:?}"
    );

    proxy.lose_answers_after(0);
    let claimed = world.claim(&lease).await;
    assert_eq!(claimed.iter().map(|stored| stored.process.id).collect::<Vec<_>>(), [id]);
    assert_eq!(world.load(id).await.revision, longhaul_domain::Revision(2), "the process was claimed once");

    let wished = {
        let op = world.ids.op();
        proxy.lose_answers_after(0);
        world.store.enqueue_action(&id, op, PendingAction::Pause).await.unwrap()
    };
    assert_eq!(wished, longhaul_domain::ActionSeq(1));
    assert_eq!(world.load(id).await.pending_actions.len(), 1);

    let change = Change { taken: wished, ..world.change(&claimed[0], cancel()) };
    proxy.lose_answers_after(0);
    let revision = world.store.commit(change.clone()).await.unwrap();
    assert_eq!(revision, longhaul_domain::Revision(3));
    assert_eq!(world.load(id).await.revision, revision);

    let (version, policy) = world.store.policy().await.unwrap();
    proxy.lose_answers_after(0);
    let newer = world.store.set_policy(version, &policy).await.unwrap();
    assert_eq!(world.store.policy().await.unwrap().0, newer);
    assert_eq!(newer, version.next(), "a repeated change has one effect");
    assert!(proxy.lost() >= 6, "replies were lost: {}", proxy.lost());
}

/// Shifts the replies of the connection by one request until `ask` receives the reply to another request. Checks that
/// the store refuses that reply. Several attempts are needed, because the store also sends requests of its own.
async fn refused_out_of_step<T: std::fmt::Debug>(
    proxy: &Proxy,
    ask: impl AsyncFn() -> Result<T, StoreError>,
) {
    let mut answer = None;
    for _ in 0..20 {
        proxy.slip();
        answer = Some(ask().await);
        if matches!(answer, Some(Err(_))) {
            break;
        }
    }
    assert!(proxy.has_slipped());
    assert!(matches!(answer, Some(Err(StoreError::Corrupt { .. }))), "{answer:?}");
}

/// The proxy acts like a faulty middlebox that has sent one reply twice: from then on, each reply belongs to the
/// previous request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_out_of_step_are_refused_and_the_next_question_has_its_own() {
    let (world, proxy) = behind_a_proxy().await;
    let (first, second) = (world.submit(world.draft()).await, world.submit(world.draft()).await);
    let ids = [first.process.id, second.process.id];
    let facts =
        |name| NodeDescriptor { id: node(name), home: None, boot: "b".to_owned(), version: "1".to_owned() };
    let lease = world.store.register(&facts("a")).await.unwrap();
    world.store.renew_lease(&lease).await.unwrap();
    // The wrong reply is of another kind.
    refused_out_of_step(&proxy, async || world.store.load(&ids[1..]).await).await;
    assert_eq!(world.store.load(&ids[1..]).await.unwrap(), [Some(second)]);
    // The wrong reply contains the record of another process.
    refused_out_of_step(&proxy, async || world.store.load(&ids[..1]).await).await;
    assert_eq!(world.store.load(&ids[..1]).await.unwrap(), [Some(first)]);
    // The wrong reply contains the lease of another node.
    world.store.register(&facts("b")).await.unwrap();
    refused_out_of_step(&proxy, async || world.store.register(&facts("c")).await).await;
    let third = world.store.register(&facts("c")).await.unwrap();
    world.store.renew_lease(&third).await.unwrap();
    // The wrong reply is a code that this request never returns. It must not be mistaken for `fenced`.
    world.store.drain(&node("unknown"), true).await.unwrap();
    refused_out_of_step(&proxy, async || world.store.advertise(&lease, &NodeAdvertisement::default()).await)
        .await;
    world.store.renew_lease(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_with_a_lost_answer_names_the_pruned_processes() {
    let (world, proxy) = behind_a_proxy().await;
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    let ended = world.exit(&running, 0).await;
    world.clock.advance(Duration::from_secs(60));
    let rule = longhaul_domain::Retention { age: Some(Duration::ZERO), count: None, before: None };
    // The first two replies belong to the query for ended processes. The reply to the deletion is lost.
    proxy.lose_answers_after(2);
    let swept = world.store.prune(&rule, 10).await.unwrap();
    assert_eq!(proxy.lost(), 1);
    assert_eq!((swept.ids, swept.total), (vec![ended.process.id], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_any_answer_may_have_been_applied() {
    let server = Server::start();
    let proxy = Proxy::before(&server.socket(), &server.directory().join("proxy"));
    let url = format!("redis+unix://{}", proxy.socket().display());
    let options = RedisOptions { url, time_limit: Duration::from_millis(300), ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    let submission = world.submission(world.draft()).await;
    let id = submission.process.id;
    proxy.lose_all_answers();
    let unheard = error_of(world.store.submit(submission).await);
    assert!(
        matches!(&unheard, StoreError::Unknown { op: Some(op), .. } if *op.as_uuid() == *id.as_uuid()),
        "{unheard:?}"
    );
    proxy.lose_nothing();
    assert!(world.exists(id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_no_server_got_is_surely_not_applied() {
    let mut server = Server::start();
    let options = RedisOptions { time_limit: Duration::from_millis(300), ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    let submission = world.submission(world.draft()).await;
    server.kill();
    // The first request may have been sent over the broken connection, so its result is ignored.
    let _ = world.store.submit(submission.clone()).await;
    let begun = Instant::now();
    let away = error_of(world.store.submit(submission).await);
    assert!(matches!(away, StoreError::Unavailable { .. }), "{away:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "the loss is reported soon: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_exist_after_the_server_was_killed() {
    let mut server = Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(options).await.unwrap());
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let lease = world.node("a").await;
    let mut acknowledged = Vec::new();
    for _ in 0..50 {
        acknowledged.push(world.submit(world.draft().placed(Placement::Node(node("b")))).await);
    }
    while tokio::time::timeout(Duration::from_millis(300), store.wait_for_updates(&lease)).await.is_ok() {}
    let parked = {
        let (store, lease) = (store.clone(), lease.clone());
        tokio::spawn(async move { store.wait_for_updates(&lease).await })
    };
    server.kill();
    server.restart();
    // The restarted server has no scripts, and all connections are broken. The open store must continue to work.
    let ids: Vec<_> = acknowledged.iter().map(|stored| stored.process.id).collect();
    let loaded = store.load(&ids).await.unwrap();
    assert_eq!(loaded, acknowledged.iter().cloned().map(Some).collect::<Vec<_>>());
    let later = world.submit(world.draft()).await;
    let wait_for_updates = tokio::time::timeout(Duration::from_secs(10), parked).await;
    assert!(wait_for_updates.unwrap().unwrap().is_ok(), "a waiting node is notified by later events");
    assert_eq!(world.claim(&lease).await.len(), 1);
    assert_eq!(world.load(later.process.id).await.owner, Some(lease));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_the_scripts_gets_them_again() {
    let server = Server::start();
    let world = StoreFixture::new(
        Arc::new(RedisStore::open(server.options()).await.unwrap()),
        VirtualClock::default(),
    );
    assert_eq!(server.ask(&["SCRIPT", "FLUSH"]), "OK");
    let stored = world.submit(world.draft()).await;
    assert!(world.exists(stored.process.id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_new_processes_and_prunes_old_processes() {
    let server = Server::start();
    let world = StoreFixture::new(
        Arc::new(RedisStore::open(server.options()).await.unwrap()),
        VirtualClock::default(),
    );
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    let ended = world.exit(&running, 0).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = error_of(world.try_submit(world.draft()).await);
    assert!(matches!(full, StoreError::Refused(StoreRejection::Full)), "{full:?}");
    let rule = longhaul_domain::Retention {
        age: None,
        count: None,
        before: Some(longhaul_domain::Timestamp(i64::MAX)),
    };
    let swept = world.store.prune(&rule, 10).await.unwrap();
    assert_eq!(swept.ids, [ended.process.id]);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    world.submit(world.draft()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_takes_ends_and_stops_and_signs_of_life() {
    let server = Server::start();
    let options = RedisOptions { leases: Some(LeaseTimes::default()), ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    let lease = world.node("a").await;
    let first = world.run(world.draft().key("k"), &lease).await;
    let second = world.run(world.draft(), &lease).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    world.store.renew_lease(&lease).await.unwrap();
    world
        .store
        .enqueue_action(
            &second.process.id,
            world.ids.op(),
            PendingAction::Cancel { cause: longhaul_domain::StopCause::User },
        )
        .await
        .unwrap();
    assert_eq!(world.store.renew_lease(&lease).await.unwrap().pending_actions, [second.process.id]);
    let stopping = world.store.commit(world.change(&second, cancel())).await.unwrap();
    assert_eq!(world.load(second.process.id).await.revision, stopping);
    let ended = world.exit(&first, 0).await;
    assert_eq!(world.load(first.process.id).await, ended);
    world.store.drain(&lease.node, true).await.unwrap();
    let facts = NodeDescriptor { id: node("b"), home: None, boot: "b".to_owned(), version: "1".to_owned() };
    let other = world.store.register(&facts).await.unwrap();
    world.store.advertise(&other, &NodeAdvertisement::default()).await.unwrap();
    world.store.leave(&other).await.unwrap();
    world.store.forget(&other.node).await.unwrap();
    let full = error_of(world.try_submit(world.draft()).await);
    assert!(
        matches!(full, StoreError::Refused(StoreRejection::Full)),
        "new processes are still rejected: {full:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_settings_were_changed_gets_no_writes_until_they_are_mended() {
    let server = Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    for (setting, broken, mended, named) in [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "may evict"),
        ("appendfsync", "everysec", "always", "`appendfsync` is `everysec`"),
        ("appendonly", "no", "yes", "`appendonly` is `no`"),
    ] {
        server.ask(&["CONFIG", "SET", setting, broken]);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        // The lease renewal finds the connection broken and is sent again over a new connection.
        world.store.renew_lease(&lease).await.unwrap();
        let refused = error_of(world.try_submit(world.draft()).await);
        assert!(matches!(&refused, StoreError::ReadOnly { why } if why.contains(named)), "{refused:?}");
        let refused = error_of(world.store.commit(world.change(&running, cancel())).await);
        assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
        assert_eq!(world.load(running.process.id).await.revision, running.revision, "the record can be read");
        world.store.renew_lease(&lease).await.unwrap();
        server.ask(&["CONFIG", "SET", setting, mended]);
        let begun = Instant::now();
        while let Err(refused) = world.try_submit(world.draft()).await {
            assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
            assert!(begun.elapsed() < Duration::from_secs(5), "the server is used again after its repair");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_waits_for_a_server_that_loads_its_data() {
    let slow = ["--key-load-delay", "4000", "--loading-process-events-interval-bytes", "1024"];
    let lasting = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::with(&[&lasting[..], &slow[..]].concat());
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    server.ask(&["EVAL", "for i = 1, 300 do redis.call('SET', 'key ' .. i, 'x') end", "0"]);
    // After a rewrite, the append-only file starts with a snapshot. The server loads the snapshot slowly, key by key.
    server.ask(&["BGREWRITEAOF"]);
    wait_for(|| server.ask(&["INFO", "persistence"]).contains("aof_rewrite_in_progress:0")).await;
    let submission = world.submission(world.draft()).await;
    server.kill();
    server.restart();
    // While the server is loading its data, it reports that its append-only file is off.
    assert!(server.ask(&["PING"]).starts_with("LOADING"), "the call must take some time");
    let accepted = world.store.submit(submission).await;
    assert!(accepted.is_ok(), "{accepted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_became_a_replica_gets_no_writes() {
    let server = Server::start();
    let options = RedisOptions { time_limit: Duration::from_millis(500), ..server.options() };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    world.submit(world.draft()).await;
    server.ask(&["REPLICAOF", "127.0.0.1", "9"]);
    let refused = error_of(world.try_submit(world.draft()).await);
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
    let refused = error_of(world.try_submit(world.draft()).await);
    assert!(matches!(&refused, StoreError::ReadOnly { why } if why.contains("127.0.0.1:9")), "{refused:?}");
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    let begun = Instant::now();
    while world.try_submit(world.draft()).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the server is used again after its promotion");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_acknowledged_when_every_replica_has_it() {
    let port = free_port();
    let primary = Server::with(&["--port", &port, "--save", "", "--appendonly", "yes"]);
    let replica = Server::with(&["--save", "", "--replicaof", "127.0.0.1", &port]);
    wait_for(|| primary.ask(&["INFO", "replication"]).contains("state=online")).await;
    let options = RedisOptions {
        durability: "replicated:1".parse().unwrap(),
        time_limit: Duration::from_secs(2),
        ..primary.options()
    };
    let world =
        StoreFixture::new(Arc::new(RedisStore::open(options).await.unwrap()), VirtualClock::default());
    for count in 1..=20 {
        world.submit(world.draft()).await;
        assert_eq!(replica.ask(&["ZCARD", "lh:{longhaul}:all"]), count.to_string());
    }
    replica.freeze();
    let submission = world.submission(world.draft()).await;
    let unsure = error_of(world.store.submit(submission.clone()).await);
    assert!(matches!(unsure, StoreError::Unknown { .. }), "{unsure:?}");
    replica.thaw();
    let again = world.store.submit(submission).await.unwrap();
    assert!(matches!(again, SubmitOutcome::Existing { same_spec: true, .. }), "{again:?}");
    assert_eq!(replica.ask(&["ZCARD", "lh:{longhaul}:all"]), "21");
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

const fn cancel() -> longhaul_domain::Input {
    longhaul_domain::Input::Action(longhaul_domain::Action::Cancel {
        cause: longhaul_domain::StopCause::User,
    })
}
