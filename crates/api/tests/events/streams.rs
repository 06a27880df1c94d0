use crate::world::{KEPT_EVENTS, World, command, envelopes, next_of, of_session, with, words};
use longhaul_api::EventItem;
use longhaul_domain::Status;
use longhaul_engine::Shutdown;
use longhaul_wire::event::EventsRequest;
use serde_json::json;
use std::time::Duration;

fn everything() -> EventsRequest {
    EventsRequest::default()
}

fn following(after: Option<&str>) -> EventsRequest {
    EventsRequest { follow: true, after: after.map(str::to_owned), ..EventsRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_failure_contains_all_known_facts() {
    let world = World::new().await;
    let launch = with(of_session("says three tests failed", "s1"), "name", json!("tests"));
    let id = world.launch(with(launch, "type", json!("test_suite"))).await;
    world.end(&id).await;
    let told = world.envelopes(&everything()).await;
    let expected = ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_TEST_RESULTS", "PROCESS_FAILED"];
    assert_eq!(words(&told), expected);
    let [_, started, results, failed] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((started.priority.as_str(), failed.priority.as_str()), ("normal", "high"));
    assert_eq!((started.data.pid, started.data.status.as_deref()), (failed.data.pid, Some("running")));
    assert!(failed.data.pid.is_some());
    let tests = results.data.tests.as_deref().unwrap();
    assert_eq!((tests.total, tests.complete, tests.source.as_deref()), (0, false, None));
    let data = &failed.data;
    assert_eq!(failed.subject.as_deref(), Some(id.as_str()));
    assert_eq!(failed.source, "/nodes/my%20node");
    assert_eq!(data.name.as_deref(), Some("tests"));
    assert_eq!(data.process_type.as_deref(), Some("test_suite"));
    assert_eq!(data.session_id.as_deref(), Some("s1"));
    assert_eq!(data.command, ["says", "three", "tests", "failed"]);
    assert_eq!((data.exit_code, data.duration), (Some(3), Some(1.0)));
    assert_eq!(data.error.as_deref(), Some("exited with code 3"));
    assert_eq!(data.output.as_deref(), Some("three tests failed"));
    assert_eq!((data.attempt, data.status.as_deref()), (Some(1), Some("failed")));
}

#[tokio::test(start_paused = true)]
async fn event_of_one_huge_output_line_contains_the_end_of_the_line() {
    let world = World::new().await;
    let id = world.run(&format!("says {}end", "x".repeat(100_000))).await;
    world.end(&id).await;
    let told = world.envelopes(&everything()).await;
    let output = told.last().unwrap().data.output.clone().unwrap();
    assert!(output.len() <= 2_048 && output.ends_with("xxend"), "{}", output.len());
}

#[tokio::test(start_paused = true)]
async fn an_event_is_the_same_whenever_and_by_whomever_it_is_read() {
    let mut world = World::new().await;
    let retried = with(command("exit 1 50"), "retry", json!({ "retries": 2 }));
    let ids = [world.launch(retried).await, world.run("says no").await];
    let mut along = world.api.events(&following(Some("start"))).await.unwrap();
    let mut first = Vec::new();
    while first.len() < 12 {
        if let EventItem::Event(envelope) = next_of(&world, &mut along).await {
            first.push((*envelope).clone());
        }
    }
    for id in &ids {
        world.end(id).await;
    }
    world.crash().await;
    let later = world.envelopes(&everything()).await;
    assert_eq!(first, later);
    let mut seen: Vec<&str> = later.iter().map(|envelope| envelope.id.as_str()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), later.len(), "an id identifies one event");
    assert_eq!(words(&later).iter().filter(|word| **word == "PROCESS_RETRY_SCHEDULED").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_resumes_from_a_cursor_misses_no_event_across_a_restart() {
    let mut world = World::new().await;
    let id = world.run("says it").await;
    world.end(&id).await;
    let all = world.envelopes(&everything()).await;
    for at in 0..all.len() {
        let after = EventsRequest { after: Some(all[at].cursor.clone()), ..EventsRequest::default() };
        world.crash().await;
        assert_eq!(
            world.envelopes(&after).await,
            all[at + 1..],
            "with the process id, which the record lost"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn reported_work_starts_with_its_submit_or_with_its_turn() {
    let world = World::new().await;
    let at_once = world.launch(json!({ "reported": {} })).await;
    let waits = world.launch(json!({ "reported": { "queued": true }, "key": "k" })).await;
    let of = async |process: &str| {
        let request = EventsRequest { process: Some(process.to_owned()), ..EventsRequest::default() };
        world.envelopes(&request).await.into_iter().map(|envelope| envelope.event).collect::<Vec<_>>()
    };
    world.clock.settle().await;
    assert_eq!(of(&at_once).await, ["PROCESS_STARTED"]);
    assert_eq!(of(&waits).await, ["PROCESS_QUEUED", "PROCESS_STARTED"]);
}

#[tokio::test(start_paused = true)]
async fn only_requested_events_are_sent() {
    let world = World::new().await;
    let mine = world.launch(of_session("exit 0", "mine")).await;
    let other = world.launch(of_session("exit 1", "other")).await;
    world.end(&mine).await;
    world.end(&other).await;
    let session = EventsRequest { session: Some("mine".to_owned()), ..EventsRequest::default() };
    let told = world.envelopes(&session).await;
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|envelope| envelope.subject.as_ref() == Some(&mine)));
    let ends = EventsRequest {
        types: vec!["process_stopped,PROCESS_FAILED".to_owned()],
        ..EventsRequest::default()
    };
    assert_eq!(words(&world.envelopes(&ends).await), ["PROCESS_STOPPED", "PROCESS_FAILED"]);
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_refused() {
    let world = World::new().await;
    for request in [
        EventsRequest { after: Some("7".to_owned()), ..EventsRequest::default() },
        EventsRequest { types: vec!["PROCESS_EXPLODED".to_owned()], ..EventsRequest::default() },
        EventsRequest { session: Some("a\nb".to_owned()), ..EventsRequest::default() },
    ] {
        let fault = world.api.events(&request).await.unwrap_err();
        assert_eq!((fault.problem().status, fault.problem().slug.as_str()), (400, "invalid_request"));
    }
    let unknown = EventsRequest { process: Some("unknown".to_owned()), ..EventsRequest::default() };
    assert_eq!(world.api.events(&unknown).await.unwrap_err().problem().status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_caught_up_and_then_new_events() {
    let world = World::new().await;
    world.run("run").await;
    world.clock.settle().await;
    let mut events = world.api.events(&following(None)).await.unwrap();
    assert!(matches!(next_of(&world, &mut events).await, EventItem::CaughtUp { .. }));
    let id = world.run("exit 0 10").await;
    let EventItem::Event(queued) = next_of(&world, &mut events).await else { panic!("no event") };
    assert_eq!((queued.subject.as_deref(), queued.event.as_str()), (Some(id.as_str()), "PROCESS_QUEUED"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_engine_after_all_committed_events() {
    let world = World::new().await;
    let mut events = world.api.events(&following(None)).await.unwrap();
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.clock.run_until(Duration::from_secs(60), world.api.engine.shut_down(Shutdown::Leave)).await;
    let mut told = Vec::new();
    while let Some(next) = events.next().await {
        told.push(next);
    }
    assert_eq!(words(&envelopes(&told)), ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_STOPPED"]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_log_causes_a_gap_and_the_stream_continues() {
    let world = World::new().await;
    let mut events = world.api.events(&following(Some("e-ffff"))).await.unwrap();
    let EventItem::Gap(gap) = next_of(&world, &mut events).await else { panic!("no gap") };
    assert_eq!((gap.event.as_str(), gap.data.from.as_deref()), ("GAP", Some("e-ffff")));
    assert_eq!(gap.data.to.as_ref(), Some(&gap.cursor));
    let id = world.run("run").await;
    loop {
        if let EventItem::Event(envelope) = next_of(&world, &mut events).await {
            assert_eq!(envelope.subject.as_deref(), Some(id.as_str()));
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_events_are_a_gap_and_all_later_events_arrive() {
    let world = World::new().await;
    let id = world.launch(json!({ "reported": {} })).await;
    let mut events = world.api.events(&following(Some("start"))).await.unwrap();
    assert!(matches!(next_of(&world, &mut events).await, EventItem::Event(_)));
    assert!(matches!(next_of(&world, &mut events).await, EventItem::CaughtUp { .. }));
    for n in 0..KEPT_EVENTS + 2 {
        let update = serde_json::from_value(json!({ "stage": format!("step {n}") })).unwrap();
        world.api.update(&id, update, None).await.unwrap();
    }
    let EventItem::Gap(gap) = next_of(&world, &mut events).await else { panic!("no gap") };
    assert_eq!((gap.data.from.as_deref(), gap.data.to.as_deref()), (Some("e-1"), Some("e-3")));
    let EventItem::Event(first) = next_of(&world, &mut events).await else { panic!("no event") };
    assert_eq!((first.cursor.as_str(), first.data.stage.as_deref()), ("e-4", Some("step 2")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_waited_for() {
    let world = World::new().await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    let mut events = world.api.events(&following(Some("start"))).await.unwrap();
    world.store.set_down(true);
    let none = world.clock.run_until(Duration::from_secs(30), events.next()).await;
    assert_eq!(none, None);
    world.store.set_down(false);
    assert!(matches!(next_of(&world, &mut events).await, EventItem::Event(_)));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_silent_subscribers_and_one_broken_one_delay_no_other() {
    let world = World::new().await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(world.api.events(&following(None)).await.unwrap());
    }
    let mut good = world.api.events(&following(None)).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..100 {
        // Cancels the wait at arbitrary points. No event may be lost.
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            next = good.next() => told.extend(next),
        }
        let id = world.run("exit 0").await;
        world.end(&id).await;
        let status = world.api.engine.process(id.parse().unwrap()).await.unwrap().process.status();
        assert_eq!(status, Status::Completed);
    }
    while words(&envelopes(&told)).iter().filter(|word| **word == "PROCESS_STOPPED").count() < 100 {
        told.push(next_of(&world, &mut good).await);
    }
    assert_eq!(envelopes(&told).len(), 300);
    let first = next_of(&world, &mut silent[0]).await;
    assert!(matches!(first, EventItem::CaughtUp { .. } | EventItem::Event(_)));
}

#[tokio::test(start_paused = true)]
async fn a_stage_event_contains_the_progress_if_it_is_known() {
    let world = World::new().await;
    let id = world.launch(json!({ "reported": {} })).await;
    let mut reports = Vec::new();
    for (stage, progress) in [("copying", 41.25), ("checking", 80.0)] {
        let update = serde_json::from_value(json!({ "stage": stage, "progress": progress })).unwrap();
        world.api.update(&id, update, None).await.unwrap();
        let told = world.envelopes(&EventsRequest::default()).await;
        reports.push(told.last().unwrap().data.clone());
    }
    let seen: Vec<_> = reports.iter().map(|data| (data.stage.as_deref(), data.progress)).collect();
    assert_eq!(seen, [(Some("copying"), Some(41.25)), (Some("checking"), Some(80.0))]);
    let late = world.envelopes(&EventsRequest::default()).await;
    let late: Vec<_> = late.iter().filter(|told| told.event == "PROCESS_PROGRESS").collect();
    assert_eq!((late[0].data.progress, late[1].data.progress), (None, Some(80.0)));
    world.api.complete(&id, serde_json::from_value(json!({})).unwrap(), None).await.unwrap();
    let over = world.envelopes(&EventsRequest::default()).await;
    let over = over.iter().filter(|told| told.event == "PROCESS_PROGRESS");
    assert!(over.into_iter().all(|told| told.data.progress.is_none()), "100 % is reported only at the end");
}

#[tokio::test(start_paused = true)]
async fn an_event_contains_the_facts_and_the_record_adds_the_process_data() {
    let world = World::new().await;
    let launch = with(of_session("exit 3 1000", "s"), "name", json!("tests"));
    let id = world.launch(launch).await;
    world.end(&id).await;
    let before = world.envelopes(&everything()).await;
    let prune = serde_json::from_value(json!({ "keep": 0 })).unwrap();
    assert_eq!(world.api.prune(prune).await.unwrap().count, 1);
    let after = world.envelopes(&everything()).await;
    assert_eq!(words(&after), words(&before));
    for (after, before) in after.iter().zip(&before) {
        assert_eq!((&after.id, &after.cursor, &after.time), (&before.id, &before.cursor, &before.time));
        assert_eq!((&after.subject, &after.data.status), (&before.subject, &before.data.status));
        assert_eq!(
            (&after.data.process_id, &after.data.error),
            (&before.data.process_id, &before.data.error)
        );
        assert_eq!((&before.data.name, &after.data.name), (&Some("tests".to_owned()), &None));
        assert_eq!(
            (&after.data.process_type, &after.data.session_id, &after.data.output),
            (&None, &None, &None)
        );
    }
    assert_eq!(after[2].data.exit_code, Some(3));
    let of_session = EventsRequest { session: Some("s".to_owned()), ..EventsRequest::default() };
    assert_eq!(world.envelopes(&of_session).await, [], "a session gets only its own events");
}
