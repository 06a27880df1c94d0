use crate::world::{KEPT_EVENTS, World, command, reported, retrying, seconds};
use longhaul_domain::{Action, Fact, ProcessId, ProgressReport, Stage, Status};
use longhaul_engine::ports::{EventCursor, EventLog, LoggedEvent};
use longhaul_engine::{Shutdown, Subscription, SubscriptionItem};
use longhaul_testkit::fakes::{Fault, PortCall};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the next item of a subscription. Fails the test if no item arrives in time.
async fn next_of(subscription: &mut Subscription) -> Option<SubscriptionItem> {
    tokio::time::timeout(TIMEOUT, subscription.next()).await.expect("the subscription gets an item or ends")
}

/// Returns the items of a subscription until it ends or delivers nothing for one second of virtual time.
async fn drained(world: &World, subscription: &mut Subscription) -> Vec<SubscriptionItem> {
    let mut notices = Vec::new();
    loop {
        world.settle().await;
        tokio::select! {
            biased;
            notice = subscription.next() => match notice {
                Some(notice) => notices.push(notice),
                None => return notices,
            },
            () = world.settle() => return notices,
        }
    }
}

fn events(notices: &[SubscriptionItem]) -> Vec<LoggedEvent> {
    let event = |notice: &SubscriptionItem| match notice {
        SubscriptionItem::Event(logged) => Some(logged.clone()),
        SubscriptionItem::Resync { .. } => None,
    };
    notices.iter().filter_map(event).collect()
}

fn facts_of(id: ProcessId, events: &[LoggedEvent]) -> Vec<&'static str> {
    events.iter().filter(|logged| logged.id == id).map(|logged| logged.event.fact.name()).collect()
}

/// Waits in real time until another thread has done its work, because the virtual clock does not control threads.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < TIMEOUT, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_sees_everything_from_now_on_in_order() {
    let world = World::new().await;
    let before = world.launch("exit 0").await;
    world.end(before).await;
    let mut subscription = world.engine.subscribe(None, 100).await.unwrap();
    let id = world.launch("exit 0 1000").await;
    world.end(id).await;
    let seen = events(&drained(&world, &mut subscription).await);
    assert!(seen.iter().all(|logged| logged.id == id));
    assert_eq!(facts_of(id, &seen), ["submitted", "claimed", "spawned", "ended"]);
    assert!(seen.windows(2).all(|pair| {
        (pair[0].revision, pair[0].index) < (pair[1].revision, pair[1].index)
            && pair[0].cursor < pair[1].cursor
    }));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_resumes_from_its_cursor() {
    let world = World::new().await;
    let first = world.launch("exit 0").await;
    world.end(first).await;
    let mut all = world.engine.subscribe(Some(EventCursor(0)), 100).await.unwrap();
    let all = events(&drained(&world, &mut all).await);
    let mut rest = world.engine.subscribe(Some(all[1].cursor), 100).await.unwrap();
    assert_eq!(events(&drained(&world, &mut rest).await), all[2..]);
}

#[tokio::test(start_paused = true)]
async fn subscribers_that_never_read_or_panic_do_not_affect_a_thousand_processes() {
    let world = World::with(|settings| settings.max_parallel = 0).await;
    let mut silent = world.engine.subscribe(None, 16).await.unwrap();
    let mut good = world.engine.subscribe(None, 16).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let mut panicking = world.engine.on_event(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    });
    panicking.listening().await;
    let reading = tokio::spawn(async move {
        let mut seen: BTreeMap<ProcessId, Vec<LoggedEvent>> = BTreeMap::new();
        while let Some(SubscriptionItem::Event(logged)) = good.next().await {
            seen.entry(logged.id).or_default().push(logged);
        }
        seen
    });
    let mut ids = Vec::new();
    for n in 0..1_000 {
        ids.push(world.launch(&format!("exit 0 {}", n % 20)).await);
    }
    for id in &ids {
        assert_eq!(world.end(*id).await, Status::Completed);
    }
    world.pass(seconds(2)).await;
    eventually("the panicking one is called", || calls.load(Ordering::SeqCst) > 0);
    world.shut_down(Shutdown::Leave).await;

    let seen = reading.await.unwrap();
    assert_eq!(seen.len(), 1_000);
    for of_one in seen.values() {
        let names: Vec<&str> = of_one.iter().map(|logged| logged.event.fact.name()).collect();
        assert_eq!(names, ["submitted", "claimed", "spawned", "ended"]);
    }
    let disconnect = drained(&world, &mut silent).await;
    let held = events(&disconnect);
    assert_eq!(held.len(), 16);
    assert_eq!(disconnect.last(), Some(&SubscriptionItem::Resync { from: held[15].cursor }));
    assert_eq!(silent.next().await, None);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "a subscriber that panicked is not called again");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_was_cut_off_misses_nothing_when_it_resumes() {
    let world = World::new().await;
    let mut slow = world.engine.subscribe(None, 3).await.unwrap();
    let ids = [world.launch("exit 0").await, world.launch("exit 1").await];
    world.pass(seconds(5)).await;
    let mut seen = Vec::new();
    let mut resyncs = 0;
    loop {
        match slow.next().await {
            Some(SubscriptionItem::Event(logged)) => seen.push(logged),
            Some(SubscriptionItem::Resync { from }) => {
                resyncs += 1;
                slow = world.engine.subscribe(Some(from), 100).await.unwrap();
            }
            None => unreachable!("a resync comes first"),
        }
        if seen.len() == 8 {
            break;
        }
    }
    assert_eq!(resyncs, 1);
    for id in ids {
        assert_eq!(facts_of(id, &seen), ["submitted", "claimed", "spawned", "ended"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_is_read_within_a_second_disconnects_no_subscriber() {
    let world = World::new().await;
    let mut subscription = world.engine.subscribe(None, 1).await.unwrap();
    let id = world.launch("exit 0").await;
    world.pass(Duration::from_millis(900)).await;
    let seen = drained(&world, &mut subscription).await;
    assert_eq!(facts_of(id, &events(&seen)), ["submitted", "claimed", "spawned", "ended"]);
    assert_eq!(seen.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_no_longer_kept_are_a_resync() {
    let world = World::new().await;
    let id = world.launch_spec(reported(|_| {})).await;
    let first = world.store.read(None, 1, false).await.unwrap().events[0].cursor;
    for n in 0..KEPT_EVENTS + 10 {
        let stage = Some(Stage::new(&format!("stage {n}")).unwrap());
        world.ask(id, Action::Progress(ProgressReport { stage, ..ProgressReport::default() })).await.unwrap();
    }
    let mut subscription = world.engine.subscribe(Some(first), 10).await.unwrap();
    let Some(SubscriptionItem::Resync { from }) = next_of(&mut subscription).await else {
        panic!("events are lost")
    };
    assert_eq!(next_of(&mut subscription).await, None);
    let mut resumed = world.engine.subscribe(Some(from), 10).await.unwrap();
    let Some(SubscriptionItem::Event(logged)) = next_of(&mut resumed).await else {
        panic!("the subscription continues")
    };
    assert_eq!(logged.cursor, EventCursor(from.0 + 1));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_log_is_a_gap() {
    let world = World::new().await;
    world.launch("run").await;
    let end = world.store.end().await.unwrap();
    let mut subscription = world.engine.subscribe(Some(EventCursor(end.0 + 1_000)), 10).await.unwrap();
    assert_eq!(next_of(&mut subscription).await, Some(SubscriptionItem::Resync { from: end }));
    assert_eq!(next_of(&mut subscription).await, None);
}

#[tokio::test(start_paused = true)]
async fn events_of_a_shutdown_are_delivered_before_the_stream_ends() {
    let world = World::new().await;
    let mut subscription = world.engine.subscribe(None, 100).await.unwrap();
    let id = world.launch("run").await;
    world.settle().await;
    world.shut_down(Shutdown::StopAll).await;
    let seen = drained(&world, &mut subscription).await;
    let SubscriptionItem::Event(last) = seen.last().unwrap() else { panic!("{seen:?}") };
    assert!(matches!(last.event.fact, Fact::Ended { .. }) && last.id == id, "{last:?}");
    assert_eq!(subscription.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn unread_events_are_delivered_after_the_engine_has_ended() {
    let world = World::new().await;
    let mut subscription = world.engine.subscribe(None, 100).await.unwrap();
    world.settle().await;
    world.store.fail_on(PortCall::Events, 1, Fault::Late(seconds(60)));
    let id = world.launch("exit 0").await;
    world.settle().await;
    assert_eq!(world.status(id).await, Status::Completed);
    world.shut_down(Shutdown::Leave).await;
    let seen = events(&drained(&world, &mut subscription).await);
    assert_eq!(facts_of(id, &seen), ["submitted", "claimed", "spawned", "ended"]);
    assert_eq!(next_of(&mut subscription).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_for_a_while_loses_nothing() {
    let world = World::new().await;
    let mut subscription = world.engine.subscribe(None, 100).await.unwrap();
    world.settle().await;
    // The read that is already in progress succeeds. The faults apply to the reads after it.
    for _ in 0..3 {
        world.store.fail_on(PortCall::Events, 1, Fault::Unavailable);
    }
    let id = world.launch("exit 0").await;
    world.pass(seconds(3)).await;
    let seen = events(&drained(&world, &mut subscription).await);
    assert_eq!(facts_of(id, &seen), ["submitted", "claimed", "spawned", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_sleeps_for_ever_delays_neither_others_nor_the_end() {
    let world = World::new().await;
    let (release, asleep) = mpsc::channel::<()>();
    let mut sleeping = world.engine.on_event(move |_| {
        // Blocks the callback until the end of the test.
        let _ = asleep.recv();
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    let mut other = world.engine.on_event(move |notice| noted.lock().unwrap().push(notice.clone()));
    sleeping.listening().await;
    other.listening().await;
    let id = world.launch("exit 0 1000").await;
    assert_eq!(world.end(id).await, Status::Completed);
    world.settle().await;
    eventually("the other subscriber gets all items", || told.lock().unwrap().len() == 4);
    world.shut_down(Shutdown::StopAll).await;
    drop((sleeping, release));
}

#[tokio::test(start_paused = true)]
async fn a_slow_callback_gets_a_gap_and_is_not_called_again() {
    let world = World::with(|settings| settings.max_parallel = 0).await;
    let (release, gate) = mpsc::channel::<()>();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    let mut slow = world.engine.on_event(move |notice| {
        if noted.lock().unwrap().is_empty() {
            let _ = gate.recv();
        }
        noted.lock().unwrap().push(notice.clone());
    });
    slow.listening().await;
    for _ in 0..400 {
        world.launch_spec(command("exit 0")).await;
        world.settle().await;
    }
    world.pass(seconds(2)).await;
    drop(release);
    let is_over = || matches!(told.lock().unwrap().last(), Some(SubscriptionItem::Resync { .. }));
    eventually("the slow subscriber gets the end of its subscription", is_over);
    let notices = told.lock().unwrap().clone();
    let last = events(&notices).last().unwrap().cursor;
    assert_eq!(notices.last(), Some(&SubscriptionItem::Resync { from: last }));
    assert!(events(&notices).windows(2).all(|pair| pair[1].cursor.0 == pair[0].cursor.0 + 1));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_guard_ends_a_callback() {
    let world = World::new().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, kept) = (calls.clone(), Arc::new(()));
    let held = kept.clone();
    let mut guard = world.engine.on_event(move |_| {
        let _ = &held;
        counted.fetch_add(1, Ordering::SeqCst);
    });
    guard.listening().await;
    let id = world.launch("exit 0").await;
    world.end(id).await;
    world.settle().await;
    eventually("the subscriber is called", || calls.load(Ordering::SeqCst) == 4);
    drop(guard);
    world.settle().await;
    eventually("the thread of the subscriber ends", || Arc::strong_count(&kept) == 1);
    let id = world.launch("exit 0").await;
    world.end(id).await;
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn callbacks_get_each_start_before_its_end_and_one_end_however_often_it_was_tried() {
    let world = World::new().await;
    let (sender, heard) = std::sync::mpsc::channel();
    let ended = sender.clone();
    let mut guard = world.engine.on_start_and_end(
        move |stored| sender.send(("start", stored.process.id)).unwrap(),
        move |stored| ended.send((stored.process.status().as_str(), stored.process.id)).unwrap(),
    );
    let only_ends = Arc::new(AtomicUsize::new(0));
    let counted = only_ends.clone();
    let mut ends = world.engine.on_end(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    guard.listening().await;
    ends.listening().await;
    let tried = world.launch_spec(retrying("exit 1", 1)).await;
    world.end(tried).await;
    let reported = world.launch_spec(reported(|_| {})).await;
    world.ask(reported, Action::Complete { result: None }).await.unwrap();
    world.settle().await;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(heard.recv_timeout(seconds(60)).unwrap());
    }
    let expected =
        [("start", tried), ("start", tried), ("failed", tried), ("start", reported), ("completed", reported)];
    assert_eq!(told, expected);
    eventually("each end is counted", || only_ends.load(Ordering::SeqCst) == 2);
}
