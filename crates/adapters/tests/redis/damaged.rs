//! Tests that damaged data on the server affects only the processes to which the data belongs.

use crate::server::Server;
use longhaul_adapters::redis::{RedisOptions, RedisStore};
use longhaul_domain::{
    Epoch, Input, Observation, PendingAction, Placement, Policy, ProcessId, Revision, Timestamp,
};
use longhaul_ports::*;
use longhaul_testkit::fakes::VirtualClock;
use longhaul_testkit::suite::StoreFixture;
use redis::ToRedisArgs;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::time::Duration;

const PREFIX: &str = "lh:{longhaul}:";

/// A store, and a connection that damages its data on the server.
struct Vandal {
    store: Arc<RedisStore>,
    world: StoreFixture,
    hand: MultiplexedConnection,
}

impl Vandal {
    async fn new() -> Self {
        let server = Server::start();
        let clock = VirtualClock::default();
        let options = RedisOptions { clock: Some(Arc::new(clock.clone())), ..server.options() };
        let store = Arc::new(RedisStore::open(options).await.unwrap());
        let client = redis::Client::open(server.url()).unwrap();
        let hand = client.get_multiplexed_async_connection().await.unwrap();
        let world = StoreFixture::new(store.clone(), clock).guarded(server);
        Self { store, world, hand }
    }

    /// Executes a command on a key of the namespace.
    async fn act(&self, command: &str, key: &[u8], args: &[&[u8]]) {
        let mut act = redis::cmd(command);
        act.arg([PREFIX.as_bytes(), key].concat());
        for arg in args {
            act.arg(arg.to_redis_args());
        }
        act.query_async::<redis::Value>(&mut self.hand.clone()).await.unwrap();
    }

    /// Replaces the value of a key, of whatever type, with a text.
    async fn spoil(&self, key: &[u8]) {
        self.act("SET", key, &[b"garbage"]).await;
    }

    /// Flips a bit in the stored spec of a process. Returns the undamaged spec.
    async fn garble(&self, id: ProcessId) -> Vec<u8> {
        let mut ask = redis::cmd("HGET");
        ask.arg([PREFIX.as_bytes(), &of("b:", id)].concat()).arg("spec");
        let whole: Vec<u8> = ask.query_async(&mut self.hand.clone()).await.unwrap();
        let garbled: Vec<u8> = whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 0)).collect();
        self.act("HSET", &of("b:", id), &[b"spec", &garbled]).await;
        whole
    }

    async fn set(&self, key: &[u8], field: &str, value: &str) {
        self.act("HSET", key, &[field.as_bytes(), value.as_bytes()]).await;
    }
}

fn of(part: &str, id: ProcessId) -> Vec<u8> {
    [part.as_bytes(), id.as_uuid().as_bytes()].concat()
}

fn is_corrupt<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Corrupt { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_of_a_waiting_process_delays_no_other_process() {
    let fields = [
        ("if_claimed", "x"),
        ("slot_state", "9"),
        ("slot_state", "1"),
        ("rev", "abc"),
        ("seq", "9999"),
        ("attempt", "-1"),
        ("priority", "inf"),
        ("key", "other"),
        ("ancestors", "x"),
    ];
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let mut damaged = Vec::new();
    for (field, value) in fields {
        let waiter = world.submit(world.draft().key("k").priority(50)).await;
        vandal.set(&of("p:", waiter.process.id), field, value).await;
        damaged.push(waiter.process.id);
    }
    for part in ["p:", "b:", "actions:"] {
        let waiter = world.submit(world.draft().key("k").priority(50)).await;
        vandal.spoil(&of(part, waiter.process.id)).await;
        damaged.push(waiter.process.id);
    }
    let gone = world.submit(world.draft().key("k").priority(50)).await;
    vandal.act("DEL", &of("b:", gone.process.id), &[]).await;
    damaged.push(gone.process.id);

    let before = world.submit(world.draft().priority(90)).await.process.id;
    let after = world.submit(world.draft().key("k")).await.process.id;
    let claimed: Vec<ProcessId> =
        world.claim(&lease).await.into_iter().map(|stored| stored.process.id).collect();
    assert_eq!(claimed, [before, after], "every other process is claimed at once");
    assert!(world.claim(&lease).await.is_empty(), "no process is claimed again");

    for id in damaged.iter().filter(|id| **id != damaged[4] && **id != damaged[2] && **id != damaged[7]) {
        let loaded = world.store.load(&[*id]).await;
        let Err(StoreError::Corrupt { what, remedy }) = &loaded else { panic!("{loaded:?}") };
        assert!(what.contains(&id.to_string()) && remedy.contains("restore"), "{what}; {remedy}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repaired_record_returns_from_quarantine_to_its_position() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let mut waiters = Vec::new();
    for _ in 0..40 {
        let id = world.submit(world.draft()).await.process.id;
        vandal.set(&of("p:", id), "rev", "abc").await;
        waiters.push(id);
    }
    assert!(world.claim(&lease).await.is_empty(), "all damaged records are quarantined");
    let (mended, still_damaged) = waiters.split_at(30);
    for id in mended {
        vandal.set(&of("p:", *id), "rev", "1").await;
    }
    assert!(world.claim(&lease).await.is_empty(), "the queue was not read again");
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        world.store.renew_lease(&lease).await.unwrap();
    }
    let mut claimed: Vec<ProcessId> = Vec::new();
    for _ in 0..waiters.len() {
        claimed.extend(world.claim(&lease).await.iter().map(|stored| stored.process.id));
    }
    assert_eq!(claimed, mended, "each process is claimed once and in order");
    vandal.set(&of("p:", still_damaged[0]), "rev", "1").await;
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        world.store.renew_lease(&lease).await.unwrap();
    }
    let claimed: Vec<ProcessId> = world.claim(&lease).await.iter().map(|stored| stored.process.id).collect();
    assert_eq!(claimed, still_damaged[..1]);
}

/// Scripts on the server do not read the bodies of a record, so only the node that claims the process detects the
/// damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_with_an_unreadable_body_holds_no_slot() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let mut damaged = Vec::new();
    for _ in 0..3 {
        let id = world.submit(world.draft().key("k").priority(50)).await.process.id;
        damaged.push((id, vandal.garble(id).await));
    }
    let sound = world.submit(world.draft().key("k")).await.process.id;
    let claimed = async |lease: &Lease| -> Vec<ProcessId> {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.extend(world.claim(lease).await.iter().map(|stored| stored.process.id));
        }
        ids
    };
    assert_eq!(claimed(&lease).await, [sound], "the only slot is free again");
    let key = "k".parse().unwrap();
    let queue = world.store.queues(Some(&key)).await.unwrap();
    assert_eq!((&queue[0].holders, queue[0].waiters.len()), (&vec![sound], 0));

    let lease = world.node("a").await;
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        world.store.renew_lease(&lease).await.unwrap();
    }
    assert_eq!(claimed(&lease).await, [], "a record that is still damaged stays quarantined");
    assert_eq!(world.store.claim_due(&lease, 10).await.unwrap(), []);

    let (mended, spec) = &damaged[1];
    vandal.act("HSET", &of("b:", *mended), &[b"spec", spec]).await;
    world.clock.advance(Duration::from_secs(1));
    world.store.renew_lease(&lease).await.unwrap();
    let due = world.store.claim_due(&lease, 10).await.unwrap();
    assert_eq!(due.iter().map(|stored| stored.process.id).collect::<Vec<_>>(), [*mended]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_lost_node_that_is_mended_is_decided_about() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let (a, b) = (world.node("a").await, world.node("b").await);
    let running = world.run(world.draft(), &a).await;
    let id = running.process.id;
    vandal.set(&of("p:", id), "rev", "abc").await;
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(1));
        world.store.renew_lease(&b).await.unwrap();
    }
    assert_eq!(world.store.claim_due(&b, 10).await.unwrap(), [], "the record is damaged");
    vandal.set(&of("p:", id), "rev", &running.revision.to_string()).await;
    world.clock.advance(Duration::from_secs(1));
    world.store.renew_lease(&b).await.unwrap();
    let due = world.store.claim_due(&b, 10).await.unwrap();
    assert_eq!(due.iter().map(|stored| stored.process.id).collect::<Vec<_>>(), [id]);
}

/// A node that starts compares the positions of the records in its outbox with those in the shared store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_keeps_no_node_from_comparing_the_others() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.submit(world.draft()).await.process.id);
    }
    vandal.set(&of("p:", ids[0]), "rev", "abc").await;
    vandal.spoil(&of("p:", ids[1])).await;
    vandal.spoil(&of("b:", ids[2])).await;
    let record_positions = vandal.store.record_positions(&ids).await.unwrap();
    let damaged = RecordPosition::Damaged;
    assert_eq!(record_positions, [damaged, damaged, damaged, RecordPosition::At(Revision(1))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_key_with_the_wrong_type_is_named_before_the_first_write() {
    let server = Server::start();
    let shared = [
        "meta",
        "policy",
        "limits",
        "held",
        "updates",
        "classes",
        "served",
        "at",
        "tombstones",
        "launch",
        "quarantine",
        "tombstones_by_time",
        "full",
        "lost",
        "ev",
        "all",
        "ids",
        "live",
        "ended",
        "due",
        "leased",
        "keys",
        "nodes",
        "leases",
    ];
    for name in shared {
        let key = format!("{PREFIX}{name}");
        server.ask(&["SET", &key, "garbage"]);
        let opened = RedisStore::open(server.options()).await.map(drop);
        let Err(StoreError::Corrupt { what, remedy }) = &opened else { panic!("{name}: {opened:?}") };
        assert!(what.ends_with(&key) && remedy.contains("restore"), "{what}; {remedy}");
        assert_eq!(server.ask(&["DBSIZE"]), "1", "{name}: no store was created");
        server.ask(&["DEL", &key]);
    }
    RedisStore::open(server.options()).await.expect("without the damaged keys the store is created");
}

/// Extreme but valid values must not be mistaken for damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_numbers_are_sound() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let far = world.submit(world.draft().not_before(Timestamp(i64::MAX))).await;
    assert_eq!(world.load(far.process.id).await, far);
    let urgent = world.submit(world.draft().key("k").priority(100)).await.process.id;
    let last = world.submit(world.draft().key("k").priority(-100)).await.process.id;
    let claimed = world.claim(&lease).await;
    assert_eq!(claimed.iter().map(|one| one.process.id).collect::<Vec<_>>(), [urgent, last]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_entry_without_a_record_delays_no_process() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let id = world.submit(world.draft().key("k")).await.process.id;
    let lane = b"@a\x1f0".as_slice();
    let other = b"=anywhere\x1f0".as_slice();
    for lane in [lane, other] {
        let ready = [b"ready:", lane].concat();
        vandal.act("ZADD", &ready, &[b"-1e9", b"unknown entry"]).await;
        let forged = [b"0".repeat(32), b"stranger".to_vec()].concat();
        vandal.act("ZADD", &ready, &[b"-1e8", &forged]).await;
        vandal.act("HSET", b"at", &[&[lane, b"\x1fstranger"].concat(), &forged]).await;
    }
    vandal.spoil(b"holders:spoilt").await;
    let claimed = world.claim(&lease).await;
    assert_eq!(claimed.first().map(|stored| stored.process.id), Some(id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_finds_damage_changes_nothing_and_names_the_damage() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let sound = world.start(world.draft(), &lease).await;
    let far = [("k", "q:k\u{1f}=anywhere\u{1f}0"), ("l", "holders:l"), ("p", "pending:a")];
    for (key, spoilt) in far.into_iter().chain([("m", "s:"), ("o", "from s:"), ("n", "actions:")]) {
        let starting = world.start(world.draft().key(key), &lease).await;
        let id = starting.process.id;
        let wished = world.store.enqueue_action(&id, world.ids.op(), PendingAction::Pause).await.unwrap();
        let over = Change { taken: wished, ..world.change(&starting, never_ran(&starting)) };
        let key = match spoilt {
            "actions:" => of("actions:", id),
            "s:" => format!("s:{}", over.next.status()).into_bytes(),
            "from s:" => format!("s:{}", starting.process.status()).into_bytes(),
            key => key.as_bytes().to_vec(),
        };
        vandal.spoil(&key).await;
        let end = world.store.end().await.unwrap();
        let refused = world.store.commit(over.clone()).await;
        let Err(StoreError::Corrupt { what, .. }) = &refused else { panic!("{spoilt}: {refused:?}") };
        assert!(what.contains("a key is not a"), "{what}");
        assert_eq!(world.store.end().await.unwrap(), end, "no part of the change was written");
        vandal.act("DEL", &key, &[]).await;
        assert_eq!(world.load(id).await.revision, starting.revision);
        world.store.commit(over).await.expect("a quarantined entry does not affect commits");
    }
    world.store.commit(world.change(&sound, never_ran(&sound))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_meets_damage_among_those_behind_it_changes_nothing() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let (version, policy) = world.store.policy().await.unwrap();
    world.store.set_policy(version, &Policy { default_slots: 1, ..policy }).await.unwrap();
    let lease = world.node("a").await;
    for (key, spoilt) in
        [("k", "q:k\u{1f}=anywhere\u{1f}0"), ("l", "ready:=anywhere\u{1f}0"), ("m", "placements:m")]
    {
        let holder = world.run(world.draft().key(key), &lease).await;
        world.submit(world.draft().key(key)).await;
        vandal.spoil(spoilt.as_bytes()).await;
        let end = world.store.end().await.unwrap();
        let refused = world.try_exit(&holder, 0).await;
        assert!(is_corrupt(&refused), "{spoilt}: {refused:?}");
        assert_eq!(world.store.end().await.unwrap(), end, "{spoilt}: no part of the change was written");
        assert_eq!(world.load(holder.process.id).await.revision, holder.revision, "{spoilt}");
        vandal.act("DEL", spoilt.as_bytes(), &[]).await;
        world.exit(&holder, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_of_shared_data_quarantines_no_process() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let (spoilt, sound) = (world.node("a").await, world.node("b").await);
    let first = world.submit(world.draft()).await.process.id;
    let second = world.submit(world.draft()).await.process.id;
    vandal.spoil(b"owned:a").await;
    let room =
        ClaimCapacity { roots: 10, batch: 10, classes: vec![PlacementClass::Shared(Placement::Anywhere)] };
    let refused = world.store.claim(&spoilt, &room).await;
    assert!(is_corrupt(&refused), "{refused:?}");
    let claimed = world.claim(&sound).await;
    assert_eq!(claimed.iter().map(|one| one.process.id).collect::<Vec<_>>(), [first, second]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_action_that_finds_damage_changes_nothing() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let running = world.run(world.draft(), &lease).await;
    vandal.spoil(b"pending:a").await;
    let refused = world.store.enqueue_action(&running.process.id, world.ids.op(), PendingAction::Pause).await;
    assert!(is_corrupt(&refused), "{refused:?}");
    assert_eq!(world.load(running.process.id).await, running);
}

fn never_ran(stored: &StoredProcess) -> Input {
    Input::Observation(Observation::NeverRan { attempt: stored.process.attempt })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwritten_high_water_marks_are_rebuilt() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let first = world.run(world.draft().key("k"), &lease).await;
    for (mark, value) in [
        ("cursor", "x"),
        ("seq", "y"),
        ("claims", "z"),
        ("cursor", "99999999999999999999"),
        ("cursor", "1"),
        ("seq", "-1"),
    ] {
        let before = world.store.end().await.ok();
        vandal.set(b"meta", mark, value).await;
        let next = world.run(world.draft().key("k"), &lease).await;
        assert!(next.seq > first.seq, "{mark} {value}");
        let end = world.store.end().await.unwrap();
        assert!(before.is_none_or(|before| end > before), "{mark}: {before:?} {end:?}");
        world.exit(&next, 0).await;
    }
    for field in ["*", "n:a", "t:a"] {
        vandal.set(b"updates", field, "x").await;
    }
    vandal.spoil(b"notify").await;
    world.submit(world.draft()).await;
    world.store.wait_for_updates(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_continue_after_events_of_other_programs() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let first = world.run(world.draft(), &lease).await;
    let last = world.store.end().await.unwrap();
    vandal.act("XADD", b"ev", &[b"500-7", b"x", b"y"]).await;
    vandal.act("XADD", b"ev", &[b"18446744073709551615-1", b"x", b"y"]).await;
    world.exit(&first, 0).await;
    assert_eq!(world.store.end().await.unwrap(), EventCursor(501));
    let page = world.store.read(Some(last), 100, false).await.unwrap();
    let read: Vec<_> = page.events.iter().map(|logged| (logged.cursor, logged.id)).collect();
    assert_eq!(read, [(EventCursor(501), first.process.id)]);
    assert!(page.gap, "the gap is reported");
    let reported = world.store.read(Some(EventCursor(500)), 100, false).await.unwrap();
    assert!(!reported.gap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_damaged_record_registers_again_and_blocks_no_node() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let (a, b) = (world.node("a").await, world.node("b").await);
    vandal.set(b"node:a", "epoch", "garbage").await;
    let fenced = world.store.renew_lease(&a).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    let again = world.node("a").await;
    assert!(again.epoch >= Epoch(1));
    world.run(world.draft(), &again).await;

    vandal.spoil(b"node:a").await;
    let refused = world.store.renew_lease(&again).await;
    assert!(is_corrupt(&refused), "{refused:?}");
    world.store.renew_lease(&b).await.unwrap();
    world.store.claim_due(&b, 10).await.unwrap();
    let known = world.store.list_nodes().await.unwrap();
    assert!(known.iter().any(|node| node.facts.id == b.node), "{known:?}");
    vandal.set(b"meta", "heard", "x").await;
    world.store.renew_lease(&b).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_hides_no_other_record() {
    let vandal = Vandal::new().await;
    let world = &vandal.world;
    let lease = world.node("a").await;
    let (first, second, last) = (
        world.run(world.draft(), &lease).await.process.id,
        world.run(world.draft(), &lease).await.process.id,
        world.run(world.draft(), &lease).await.process.id,
    );
    vandal.set(&of("b:", first), "spec", "{}").await;
    vandal.spoil(&of("p:", second)).await;
    let mut both = vec![first, second];
    both.sort();
    for order in [SortOrder::NewestFirst, SortOrder::OldestFirst] {
        let (mut read, mut damaged, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = PageRequest { order, after, limit: 1 };
            let listing = world.store.list(&ProcessFilter::default(), &page).await.unwrap();
            read.extend(listing.processes.iter().map(|one| one.process.id));
            damaged.extend(listing.damaged);
            after = listing.next;
            if after.is_none() {
                break;
            }
        }
        damaged.sort();
        assert_eq!((read, damaged), (vec![last], both.clone()), "the damaged records are reported once");
    }
    let page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: 9 };
    let listing = world.store.list(&ProcessFilter::default(), &page).await.unwrap();
    assert!(is_corrupt(&listing.whole()), "a caller that needs a complete list gets an error");
    assert!(is_corrupt(&world.store.load(&[last, first]).await));
    let each = world.store.load_each(&[first, last, second]).await.unwrap();
    let kinds: Vec<bool> = each.iter().map(Result::is_ok).collect();
    assert_eq!(kinds, [false, true, false]);
    world.store.queues(None).await.unwrap();
}
