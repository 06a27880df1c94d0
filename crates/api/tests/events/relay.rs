use crate::world::{World, command, envelopes, next_of, of_session, words};
use longhaul_api::{EventItem, Events, ProcessChange};
use longhaul_testkit::fakes::PortCall;
use longhaul_wire::event::{Envelope, EventsRequest};
use serde_json::json;
use std::time::Duration;

const CROWD: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(60);

fn following() -> EventsRequest {
    EventsRequest { follow: true, ..EventsRequest::default() }
}

/// Returns a subscriber that has reached the end of the log.
async fn listener(world: &World, request: &EventsRequest) -> Events {
    let mut events = world.api.events(request).await.unwrap();
    assert!(matches!(next_of(world, &mut events).await, EventItem::CaughtUp { .. }));
    events
}

/// Reads `limit` items in a separate task.
fn reading(mut events: Events, limit: usize) -> tokio::task::JoinHandle<Vec<EventItem>> {
    tokio::spawn(async move {
        let mut told = Vec::new();
        while told.len() < limit {
            let Some(next) = events.next().await else { break };
            told.push(next);
        }
        told
    })
}

fn reads(world: &World) -> usize {
    world.store.calls().into_iter().filter(|call| matches!(call, PortCall::Events | PortCall::Read)).count()
}

/// Returns the items that the readers got. Fails if a reader does not finish before a timeout.
async fn joined(readers: Vec<tokio::task::JoinHandle<Vec<EventItem>>>) -> Vec<Vec<EventItem>> {
    let mut all = Vec::new();
    for reader in readers {
        all.push(tokio::time::timeout(TIMEOUT, reader).await.expect("the reader receives an event").unwrap());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_thousand_subscribers_read_the_store_as_often_as_one() {
    let mut counts = Vec::new();
    for crowd in [1, CROWD] {
        let world = World::new().await;
        let mut readers = Vec::new();
        for _ in 0..crowd {
            readers.push(reading(listener(&world, &following()).await, 3));
        }
        world.clock.settle().await;
        let before = reads(&world);
        let id = world.run("says it").await;
        world.end(&id).await;
        let told = joined(readers).await;
        assert_eq!(words(&envelopes(&told[0])), ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_FAILED"]);
        assert!(told.iter().all(|one| *one == told[0]));
        counts.push(reads(&world) - before);
    }
    assert!(counts[1] <= counts[0] + 3, "{counts:?}: pages may be cut differently, and nothing else");
}

#[tokio::test(start_paused = true)]
async fn one_log_reader_reports_the_ends_of_all_sessions() {
    let world = World::new().await;
    let mut notices = Vec::new();
    for n in 0..100 {
        let mut one = world.api.notices(&format!("s{}", n % 2), None, true).await.unwrap();
        one.next().await.expect("the present state");
        notices.push(tokio::spawn(async move { one.next().await }));
    }
    let mut changes = world.api.changes().await.unwrap();
    world.clock.settle().await;
    let before = reads(&world);
    let ids =
        [world.launch(of_session("exit 0", "s0")).await, world.launch(of_session("exit 0", "s1")).await];
    for (n, notice) in notices.into_iter().enumerate() {
        let batch = world.clock.run_until(Duration::from_secs(60), notice).await.expect("a batch arrives");
        let batch = batch.unwrap().expect("the batches continue");
        assert_eq!(batch.ended.iter().map(|ended| &ended.id).collect::<Vec<_>>(), [&ids[n % 2]]);
    }
    let change = world.clock.run_until(Duration::from_secs(60), changes.next()).await.flatten();
    assert_eq!(change, Some(ProcessChange::Of(ids[0].parse().unwrap())));
    let seen = reads(&world) - before;
    assert!(seen < 40, "{seen} reads for two launches and a hundred readers");
}

#[tokio::test(start_paused = true)]
async fn a_text_is_written_once_for_all() {
    let world = World::new().await;
    let (mut first, mut second) =
        (listener(&world, &following()).await, listener(&world, &following()).await);
    world.run("run").await;
    let EventItem::Event(one) = next_of(&world, &mut first).await else { panic!("no event") };
    let EventItem::Event(other) = next_of(&world, &mut second).await else { panic!("no event") };
    let texts =
        [one.as_event(|told| told.cursor.clone()), other.as_event(|_| unreachable!("the event is there"))];
    assert_eq!(texts[0], texts[1]);
    assert_eq!(&*other.as_line(|told| told.event.clone()), b"PROCESS_QUEUED");
}

#[tokio::test(start_paused = true)]
async fn the_log_reader_stops_without_subscribers() {
    let world = World::new().await;
    let listeners = [listener(&world, &following()).await, listener(&world, &following()).await];
    let readers: Vec<_> = listeners.into_iter().map(|one| reading(one, usize::MAX)).collect();
    world.clock.settle().await;
    for reader in readers {
        reader.abort();
    }
    world.clock.settle().await;
    let count = || world.store.calls().into_iter().filter(|call| *call == PortCall::Events).count();
    let before = count();
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.clock.settle().await;
    assert_eq!(count(), before);
    // The next subscriber starts a new shared reader.
    let mut again = listener(&world, &following()).await;
    let id = world.run("run").await;
    let EventItem::Event(queued) = next_of(&world, &mut again).await else { panic!("no event") };
    assert_eq!(queued.subject.as_deref(), Some(id.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_misses_no_event_and_catches_up() {
    let world = World::new().await;
    let mut slow = listener(&world, &following()).await;
    let quick = reading(listener(&world, &following()).await, 3_000);
    // After this read, the slow subscriber has one page of events in memory and does not read again for a while.
    let first = world.run("exit 0").await;
    world.end(&first).await;
    let mut told = vec![next_of(&world, &mut slow).await];
    for _ in 1..1_000 {
        let id = world.run("exit 0").await;
        world.end(&id).await;
    }
    let quick = joined(vec![quick]).await.remove(0);
    while told.len() < 3_000 {
        told.push(next_of(&world, &mut slow).await);
    }
    assert_eq!(sameness(&told), sameness(&quick));
    let before = world.store.calls().into_iter().filter(|call| *call == PortCall::Events).count();
    let mut others = vec![slow];
    for _ in 0..50 {
        others.push(listener(&world, &following()).await);
    }
    let joining = world.store.calls().into_iter().filter(|call| *call == PortCall::Events).count();
    assert!(joining > before);
    let readers = others.into_iter().map(|one| reading(one, 1)).collect();
    world.clock.settle().await;
    let parked = world.store.calls().into_iter().filter(|call| *call == PortCall::Events).count();
    world.run("run").await;
    joined(readers).await;
    let after = world.store.calls().into_iter().filter(|call| *call == PortCall::Events).count();
    assert!(after - parked <= 4, "{} reads of the log for all", after - parked);
}

/// Returns the fields of the events that do not depend on when the events are read.
fn sameness(told: &[EventItem]) -> Vec<(String, String, String)> {
    let plain = |one: Envelope| (one.id, one.event, one.cursor);
    envelopes(told).into_iter().map(plain).collect()
}

#[tokio::test(start_paused = true)]
async fn each_of_many_subscribers_gets_exactly_its_events() {
    let world = World::new().await;
    let session = |name: &str| EventsRequest { session: Some(name.to_owned()), ..following() };
    let ends = EventsRequest { types: vec!["PROCESS_STOPPED".to_owned()], ..following() };
    let kept = world.launch(of_session("exit 0 5000", "mine")).await;
    world.clock.settle().await;
    let one = EventsRequest { process: Some(kept.clone()), ..following() };
    let mut readers = Vec::new();
    for (request, limit) in [(session("mine"), 4), (session("other"), 3), (ends, 3), (one, 1)] {
        for _ in 0..40 {
            readers.push(reading(listener(&world, &request).await, limit));
        }
    }
    let mine = world.launch(of_session("exit 0", "mine")).await;
    world.end(&mine).await;
    let other = world.launch(of_session("exit 0", "other")).await;
    world.end(&other).await;
    world.end(&kept).await;
    let told = joined(readers).await;
    let of = |told: &[EventItem]| -> Vec<(String, String)> {
        envelopes(told).into_iter().map(|one| (one.subject.unwrap(), one.event)).collect()
    };
    let life = |id: &String| {
        ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_STOPPED"].map(|word| (id.clone(), word.to_owned()))
    };
    let stopped = |id: &String| (id.clone(), "PROCESS_STOPPED".to_owned());
    let mut own = life(&mine).to_vec();
    own.push(stopped(&kept));
    for (n, told) in told.iter().enumerate() {
        let wanted = match n / 40 {
            0 => own.clone(),
            1 => life(&other).to_vec(),
            2 => vec![stopped(&mine), stopped(&other), stopped(&kept)],
            _ => vec![stopped(&kept)],
        };
        assert_eq!(of(told), wanted, "reader {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_subscribers_get_all_events_that_were_committed_before_the_shutdown() {
    let world = World::new().await;
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(reading(listener(&world, &following()).await, usize::MAX));
    }
    let id = world.launch(command("exit 0")).await;
    world.end(&id).await;
    let leave = world.api.engine.shut_down(longhaul_engine::Shutdown::Leave);
    world.clock.run_until(Duration::from_secs(60), leave).await;
    for told in joined(readers).await {
        assert_eq!(words(&envelopes(&told)), ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_STOPPED"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_holds_the_crowd_up_and_loses_it_nothing() {
    let world = World::new().await;
    let mut readers = Vec::new();
    for _ in 0..100 {
        readers.push(reading(listener(&world, &following()).await, 4));
    }
    let reported = world.launch(json!({ "reported": {} })).await;
    world.clock.settle().await;
    for _ in 0..3 {
        world.store.fail_on(PortCall::Events, 1, longhaul_testkit::fakes::Fault::Unavailable);
    }
    let id = world.run("exit 0").await;
    world.pass(Duration::from_secs(5)).await;
    let told = joined(readers).await;
    assert_eq!(envelopes(&told[0])[0].subject.as_ref(), Some(&reported));
    assert!(envelopes(&told[0])[1..].iter().all(|one| one.subject.as_ref() == Some(&id)));
    assert!(told.iter().all(|one| *one == told[0]));
}
