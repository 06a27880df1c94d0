//! Tests of Redis servers that lost data in a restart, and of servers that are known to be unreachable.

use crate::server::{Server, error_of};
use longhaul_adapters::redis::{Durability, RedisOptions, RedisStore};
use longhaul_domain::{NodeId, Placement, ProcessId, Status};
use longhaul_ports::RestoreOutcome;
use longhaul_ports::{
    ClaimCapacity, ClaimRequest, HighWaterMarks, History, Lease, Maintenance, Membership, NodeDescriptor,
    PlacementClass, ProcessStore, Queues, RecordPosition, Restore, StoreError, Submission,
};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DURABLE: [&str; 6] = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];

fn here() -> NodeDescriptor {
    NodeDescriptor {
        id: NodeId::new("a").unwrap(),
        home: None,
        boot: "b".to_owned(),
        version: "1".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_dump_is_detected_and_later_records_are_restored() {
    let mut server = Server::with(&DURABLE);
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let store = Arc::new(RedisStore::open(options).await.unwrap());
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let old = store.register(&here()).await.unwrap();
    let elsewhere = Placement::Node(NodeId::new("b").unwrap());
    let kept_there = world.submit(world.draft().placed(elsewhere)).await;
    let earlier = world.run(world.draft(), &old).await;
    server.save_files();

    let lease = store.register(&here()).await.unwrap();
    let ended = world.exit(&world.load(earlier.process.id).await, 0).await;
    let later = world.run(world.draft(), &lease).await;
    let (version, policy) = store.policy().await.unwrap();
    let version = store.set_policy(version, &policy).await.unwrap();
    let before = store.history().await.unwrap();

    server.kill();
    server.restore_files();
    server.restart();
    let behind = store.history().await.unwrap();
    assert!(behind.incarnation == before.incarnation && !behind.continues(&before), "{behind:?} {before:?}");
    assert!(matches!(error_of(store.renew_lease(&lease).await), StoreError::Fenced { .. }));
    let known = store.list_nodes().await.unwrap();
    assert!(known[0].epoch < lease.epoch, "a node notices that the store is older than its lease");

    let again: Lease = store.register(&here()).await.unwrap();
    assert!(again.epoch > lease.epoch, "no lease of a node reuses an earlier epoch");
    let ids = [kept_there.process.id, ended.process.id, later.process.id];
    let record_positions = store.record_positions(&ids).await.unwrap();
    assert_eq!(record_positions[0], RecordPosition::At(kept_there.revision));
    assert_eq!(
        (record_positions[1], record_positions[2]),
        (RecordPosition::At(earlier.revision), RecordPosition::Missing)
    );
    let marks = HighWaterMarks { end: before.end, seq: later.seq, policy: Some((version, policy)) };
    store.advance_marks(&marks).await.unwrap();
    assert_eq!(store.policy().await.unwrap().0, version);
    let given = store.restore(&again, &[ended.clone(), kept_there.clone(), later.clone()]).await.unwrap();
    assert!(
        matches!(
            given[..],
            [RestoreOutcome::Inserted(_), RestoreOutcome::AlreadyPresent(_), RestoreOutcome::Inserted(_)]
        ),
        "{given:?}"
    );
    assert_eq!(world.load(ended.process.id).await.process, ended.process);
    let there = world.load(later.process.id).await;
    assert_eq!((there.owner.clone(), there.process.clone()), (Some(again), later.process.clone()));
    let now = store.history().await.unwrap();
    assert!(now.end > before.end, "no event cursor is used twice");
    world.exit(&there, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_meets_the_connection_that_broke() {
    let mut server = Server::with(&DURABLE);
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let store = RedisStore::open(options).await.unwrap();
    let (policy, history) = (store.policy().await.unwrap(), store.history().await.unwrap());
    server.kill();
    server.restart();
    assert_eq!(store.policy().await.unwrap(), policy);
    server.kill();
    server.restart();
    assert_eq!(store.history().await.unwrap(), history);
}

/// Two nodes, and a server whose data was reset to an earlier copy. The copy was made before the second node claimed
/// the waiting process. The first node had received the later history in a lease renewal.
struct Restored {
    server: Server,
    world: StoreFixture,
    store: Arc<RedisStore>,
    lease: Lease,
    waiter: ProcessId,
    before: History,
}

impl Restored {
    async fn new() -> Self {
        let mut server = Server::with(&DURABLE);
        let options = RedisOptions { durability: Durability::Single, ..server.options() };
        let store = Arc::new(RedisStore::open(options.clone()).await.unwrap());
        let other = RedisStore::open(options).await.unwrap();
        let world = StoreFixture::new(store.clone(), VirtualClock::default());
        let lease = store.register(&here()).await.unwrap();
        let there = NodeDescriptor { id: NodeId::new("b").unwrap(), ..here() };
        let lease_there = other.register(&there).await.unwrap();
        let anywhere = world.draft().placed(Placement::Anywhere);
        let waiter = world.submit(anywhere).await.process.id;
        server.save_files();
        let taken = other.claim(&lease_there, &room()).await.unwrap();
        let taken: Vec<ProcessId> = taken.iter().map(|stored| stored.process.id).collect();
        assert_eq!(taken, [waiter]);
        let before = store.renew_lease(&lease).await.unwrap().history.unwrap();
        drop(other);
        server.kill();
        server.restore_files();
        Self { server, world, store, lease, waiter, before }
    }
}

fn room() -> ClaimCapacity {
    ClaimCapacity { roots: 9, batch: 9, classes: vec![PlacementClass::Shared(Placement::Anywhere)] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_taken_over_from_a_server_with_older_data_before_the_loss_is_reported() {
    let Restored { mut server, world, store, lease, waiter, before } = Restored::new().await;
    server.restart();
    let unclaimed = error_of(store.claim(&lease, &room()).await);
    let claimant = ClaimRequest { lease: lease.clone(), roots: 9 };
    let own = Submission { claim_for: Some(claimant), ..world.submission(world.draft()).await };
    let refused =
        [unclaimed, error_of(store.claim_due(&lease, 9).await), error_of(store.submit(own.clone()).await)];
    for refused in refused {
        // The request that found the connection broken may have been applied earlier, so the error can be `Unknown`.
        let (StoreError::Unavailable { source } | StoreError::Unknown { source, .. }) = refused else {
            unreachable!("{refused:?}")
        };
        assert!(source.to_string().contains("has lost data"), "{source}");
    }
    let there = store.load(&[waiter, own.process.id]).await.unwrap();
    assert_eq!(there[0].as_ref().unwrap().process.status(), Status::Pending, "the process was not claimed");
    assert!(there[1].is_none(), "a rejected launch is not stored");

    let after = store.renew_lease(&lease).await.unwrap().history.unwrap();
    assert_ne!(after.server, before.server, "a lease renewal reports the new server");
    let claimed = store.claim(&lease, &room()).await.unwrap();
    assert_eq!(claimed[0].process.id, waiter, "after the report, the nodes that received it handle the loss");
}

/// The connection is not interrupted, so only the metadata of the namespace shows the loss of data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_taken_over_from_a_refilled_namespace_before_the_loss_is_reported() {
    let server = Server::with(&DURABLE);
    let options = RedisOptions { durability: Durability::Single, ..server.options() };
    let store = Arc::new(RedisStore::open(options.clone()).await.unwrap());
    let other = RedisStore::open(options).await.unwrap();
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let lease = store.register(&here()).await.unwrap();
    let there = NodeDescriptor { id: NodeId::new("b").unwrap(), ..here() };
    other.register(&there).await.unwrap();
    let mine = world.run(world.draft(), &lease).await;
    let waiter = world.submit(world.draft().placed(Placement::Anywhere)).await;
    let keyed = world.submission(world.draft().launch_key("key")).await;
    let before = store.renew_lease(&lease).await.unwrap().history.unwrap();

    assert_eq!(server.ask(&["FLUSHALL"]), "OK");
    let lease_there = other.register(&there).await.unwrap();
    other.advance_marks(&HighWaterMarks { end: before.end, seq: waiter.seq, policy: None }).await.unwrap();
    let given = other.restore(&lease_there, &[mine, waiter.clone()]).await.unwrap();
    assert!(matches!(given[..], [RestoreOutcome::Inserted(_), RestoreOutcome::Inserted(_)]), "{given:?}");
    let refused = [
        error_of(store.claim(&lease, &room()).await),
        error_of(store.claim_due(&lease, 9).await),
        error_of(store.submit(keyed.clone()).await),
    ];
    for refused in refused {
        let StoreError::Unavailable { source } = refused else { unreachable!("{refused:?}") };
        assert!(source.to_string().contains("has lost data"), "{source}");
    }
    let there = store.load(&[waiter.process.id, keyed.process.id]).await.unwrap();
    assert_eq!(there[0].as_ref().unwrap().process.status(), Status::Pending, "the process was not claimed");
    assert!(there[1].is_none(), "a rejected launch is not stored");

    let after = store.renew_lease(&lease).await.unwrap().history.unwrap();
    assert_ne!(after.incarnation, before.incarnation, "a lease renewal reports the loss");
    let claimed = store.claim(&lease, &room()).await.unwrap();
    assert_eq!(claimed[0].process.id, waiter.process.id);
    store.submit(keyed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_back_is_known_for_it_though_others_wrote_on() {
    let Restored { mut server, store, lease, before, .. } = Restored::new().await;
    server.restart();
    store.policy().await.unwrap();
    server.ask(&["HINCRBY", "lh:{longhaul}:meta", "cursor", "100"]);
    let after = store.renew_lease(&lease).await.unwrap().history.unwrap();
    assert!(after.continues(&before), "the cursor of the next event does not show the loss");
    assert_ne!(after.server, before.server);
    let later = store.renew_lease(&lease).await.unwrap().history.unwrap();
    assert_eq!(later.server, after.server, "the change is reported once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_node_is_notified_immediately_of_a_server_with_older_data() {
    let Restored { mut server, store, lease, before, .. } = Restored::new().await;
    server.restart();
    let begun = Instant::now();
    let reported = loop {
        match store.wait_for_updates(&lease).await {
            Ok(calls) => break calls.history.unwrap(),
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error:?}"),
        }
    };
    assert_ne!(reported.server, before.server);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_run_of_a_server_that_may_forget_is_another_server() {
    for (durability, is_told) in [(Durability::Cache, true), (Durability::Single, false)] {
        let mut server = Server::with(&DURABLE);
        let options = RedisOptions { durability, ..server.options() };
        let store = RedisStore::open(options).await.unwrap();
        let lease = store.register(&here()).await.unwrap();
        let before = store.renew_lease(&lease).await.unwrap().history.unwrap();
        server.kill();
        server.restart();
        let after = store.renew_lease(&lease).await.unwrap().history.unwrap();
        assert!(after.continues(&before));
        assert_eq!(after.server != before.server, is_told, "{durability:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_a_server_that_is_known_to_be_down_fail_immediately() {
    let mut server = Server::start();
    let store = Arc::new(RedisStore::open(server.options()).await.unwrap());
    let world = StoreFixture::new(store.clone(), VirtualClock::default());
    let submission = world.submission(world.draft()).await;
    let id: ProcessId = submission.process.id;
    server.kill();
    let _ = store.submit(submission.clone()).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let away = error_of(store.submit(submission.clone()).await);
        assert!(matches!(away, StoreError::Unavailable { .. }), "{away:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "twenty nodes got the report in {:?}", begun.elapsed());
    server.restart();
    // The request is repeated, because a request that arrives while another request is connecting fails immediately.
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.load(&[id]).await.is_err() {
        assert!(Instant::now() < deadline, "the server is back, but the node does not find it");
        tokio::task::yield_now().await;
    }
}
