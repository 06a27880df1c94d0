use crate::outside::{Answer, Hosts, Places, Receiver, start, webhook, webhook_with};
use crate::world::{World, of_session, with};
use longhaul_api::webhook::WebhookSecret;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const LIFE: [&str; 3] = ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_STOPPED"];

#[tokio::test(start_paused = true)]
async fn every_event_arrives_in_order_and_signed() {
    let world = World::new().await;
    let before = world.run("exit 0").await;
    world.end(&before).await;
    let chat = Receiver::new(&world, &[], Answer::Status(204));
    start(&world, vec![webhook("chat", &[])], &Hosts::of(&[("chat", &chat)]), &Arc::default()).await;
    let id = world.run("exit 0 10").await;
    world.end(&id).await;
    world.clock.settle().await;
    assert_eq!(chat.words(), LIFE, "no earlier event is delivered");
    assert!(chat.envelopes().iter().all(|envelope| envelope.subject.as_ref() == Some(&id)));
    let letters = chat.letters.lock().unwrap();
    let (_, letter) = &letters[0];
    let header = |name: &str| letter.headers.iter().find(|(is, _)| is == name).unwrap().1.as_str();
    let seconds = header("webhook-timestamp").parse().unwrap();
    let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(header("webhook-id"), format!("{id}/1/0"));
    assert_eq!(header("webhook-signature"), secret.sign(header("webhook-id"), seconds, &letter.body));
    assert_eq!(header("content-type"), "application/cloudevents+json");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_receiver_gets_all_events_later_and_delays_no_other_receiver() {
    let world = World::new().await;
    let good = Receiver::new(&world, &[], Answer::Status(200));
    let (broken, silent, away) = (
        Receiver::new(&world, &[Answer::Status(500); 5], Answer::Status(200)),
        Receiver::new(&world, &[], Answer::Silence),
        Receiver::new(&world, &[], Answer::Nobody),
    );
    let post = Hosts::of(&[("good", &good), ("broken", &broken), ("silent", &silent), ("away", &away)]);
    let webhooks = ["silent", "broken", "away", "good"].map(|name| webhook(name, &[])).to_vec();
    start(&world, webhooks, &post, &Arc::default()).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.clock.settle().await;
    assert_eq!(good.words(), LIFE);
    assert_eq!(
        (broken.words().len(), silent.words().len()),
        (1, 1),
        "the deliveries are in their first attempt"
    );
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(broken.words()[5..], LIFE);
    away.then(Answer::Status(200));
    world.pass(Duration::from_secs(600)).await;
    let words = away.words();
    assert_eq!(words[words.len() - 3..], LIFE);
    assert!(words[..words.len() - 3].iter().all(|word| word == LIFE[0]), "the first delivery comes first");
}

#[tokio::test(start_paused = true)]
async fn a_restart_loses_nothing_and_keeps_the_order() {
    let mut world = World::new().await;
    let chat = Receiver::new(&world, &[], Answer::Nobody);
    let (post, places) = (Hosts::of(&[("chat", &chat)]), Arc::<Places>::default());
    start(&world, vec![webhook("chat", &[])], &post, &places).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.crash().await;
    let later = world.run("exit 0").await;
    world.end(&later).await;
    chat.then(Answer::Status(200));
    chat.letters.lock().unwrap().clear();
    start(&world, vec![webhook("chat", &[])], &post, &places).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(chat.words(), [LIFE, LIFE].concat());
    world.crash().await;
    chat.letters.lock().unwrap().clear();
    start(&world, vec![webhook("chat", &[])], &post, &places).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(chat.words(), Vec::<String>::new(), "a delivered event is not delivered again");
}

#[tokio::test(start_paused = true)]
async fn rejected_event_is_dropped_and_a_redirect_is_a_rejection() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[Answer::Status(404), Answer::Status(302)], Answer::Status(200));
    start(&world, vec![webhook("chat", &[])], &Hosts::of(&[("chat", &chat)]), &Arc::default()).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.pass(DAY).await;
    assert_eq!(chat.words(), LIFE);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_answered_410_gets_no_more_events() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[Answer::Status(410)], Answer::Status(200));
    start(&world, vec![webhook("chat", &[])], &Hosts::of(&[("chat", &chat)]), &Arc::default()).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.pass(DAY).await;
    assert_eq!(chat.words().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_answered_410_stays_disabled_across_restarts() {
    let mut world = World::new().await;
    let chat = Receiver::new(&world, &[Answer::Status(200), Answer::Status(410)], Answer::Status(200));
    let (post, places) = (Hosts::of(&[("chat", &chat)]), Arc::<Places>::default());
    start(&world, vec![webhook("chat", &[])], &post, &places).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    for _ in 0..2 {
        world.crash().await;
        start(&world, vec![webhook("chat", &[])], &post, &places).await;
        world.pass(DAY).await;
        assert_eq!(chat.words(), LIFE[..2]);
    }
    assert_eq!(places.closed.lock().unwrap()["chat"], "https://chat:443/events");
    places.closed.lock().unwrap().clear();
    world.crash().await;
    chat.letters.lock().unwrap().clear();
    start(&world, vec![webhook("chat", &[])], &post, &places).await;
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(chat.words(), LIFE[1..], "delivery resumes with the rejected event");
}

#[tokio::test(start_paused = true)]
async fn another_address_switches_a_receiver_on_again() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[], Answer::Status(200));
    let places = Arc::<Places>::default();
    places.closed.lock().unwrap().insert("chat".to_owned(), "https://chat/before".to_owned());
    start(&world, vec![webhook("chat", &[])], &Hosts::of(&[("chat", &chat)]), &places).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.clock.settle().await;
    assert_eq!(chat.words(), LIFE);
    assert!(places.closed.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_one_delivery_and_a_power_cut_at_most_a_hundred() {
    for (cuts_power, limit) in [(false, 1), (true, 100)] {
        let mut world = World::new().await;
        let chat = Receiver::new(&world, &[], Answer::Status(200));
        let (post, places) = (Hosts::of(&[("chat", &chat)]), Arc::<Places>::default());
        start(&world, vec![webhook("chat", &[])], &post, &places).await;
        for _ in 0..90 {
            let id = world.run("exit 0").await;
            world.end(&id).await;
        }
        world.clock.settle().await;
        assert_eq!(chat.words().len(), 270);
        let syncs = places.syncs.load(Ordering::SeqCst);
        assert!(syncs <= 10, "{syncs}");
        world.crash().await;
        if cuts_power {
            places.cut_power();
        }
        chat.letters.lock().unwrap().clear();
        start(&world, vec![webhook("chat", &[])], &post, &places).await;
        world.pass(Duration::from_secs(1)).await;
        let repeated = chat.words().len();
        assert!(repeated <= limit, "{repeated}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_given_up_after_a_day_and_the_next_one_has_its_turn() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[], Answer::Status(503));
    let webhooks = vec![webhook("chat", &["PROCESS_STARTED", "PROCESS_STOPPED"])];
    start(&world, webhooks, &Hosts::of(&[("chat", &chat)]), &Arc::default()).await;
    let id = world.run("exit 0").await;
    world.end(&id).await;
    world.pass(DAY + Duration::from_secs(600)).await;
    let letters = chat.letters.lock().unwrap();
    let (first, last) = (letters[0].0, letters.last().unwrap().0);
    let tries = letters.iter().filter(|(_, letter)| letter.headers[1].1.ends_with("/3/0")).count();
    assert!(last - first > DAY - Duration::from_secs(600), "{first:?} {last:?}");
    assert!((250..2_000).contains(&tries), "{tries}");
    drop(letters);
    assert_eq!(chat.words().last().map(String::as_str), Some("PROCESS_STOPPED"));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_time_gets_it() {
    let world = World::new().await;
    let action = Answer::Later(429, Duration::from_secs(120));
    let chat = Receiver::new(&world, &[action], Answer::Status(200));
    start(
        &world,
        vec![webhook("chat", &["PROCESS_QUEUED"])],
        &Hosts::of(&[("chat", &chat)]),
        &Arc::default(),
    )
    .await;
    world.run("exit 0").await;
    world.pass(Duration::from_secs(300)).await;
    let letters = chat.letters.lock().unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[1].0 - letters[0].0, Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn only_selected_events_are_sent_and_the_cursor_advances() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[], Answer::Status(200));
    let places = Arc::<Places>::default();
    start(&world, vec![webhook("chat", &["PROCESS_FAILED"])], &Hosts::of(&[("chat", &chat)]), &places).await;
    let good = world.run("exit 0").await;
    world.end(&good).await;
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(chat.words(), Vec::<String>::new());
    let end = world.api.engine.log_end().await.unwrap();
    assert_eq!(places.kept.lock().unwrap()["chat"], end);
    let bad = world.run("exit 1").await;
    world.end(&bad).await;
    world.clock.settle().await;
    assert_eq!(chat.words(), ["PROCESS_FAILED"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_hooks_are_sent_only_where_they_are_wanted() {
    let world = World::new().await;
    let (usual, all) =
        (Receiver::new(&world, &[], Answer::Status(204)), Receiver::new(&world, &[], Answer::Status(204)));
    let webhooks = vec![webhook("usual", &[]), webhook_with("all", &[], true)];
    start(&world, webhooks, &Hosts::of(&[("usual", &usual), ("all", &all)]), &Arc::default()).await;
    let hook = world.launch(with(of_session("exit 0 10", "s"), "type", json!("custom:hook"))).await;
    world.end(&hook).await;
    let mine = world.run("exit 0 10").await;
    world.end(&mine).await;
    world.clock.settle().await;
    assert_eq!(usual.words(), LIFE);
    assert!(usual.envelopes().iter().all(|envelope| envelope.subject.as_ref() == Some(&mine)));
    assert_eq!(all.words(), [LIFE, LIFE].concat());
}

#[tokio::test(start_paused = true)]
async fn lost_events_are_reported_as_a_gap() {
    let world = World::new().await;
    let chat = Receiver::new(&world, &[], Answer::Status(200));
    let id = world.run("exit 0").await;
    world.end(&id).await;
    let places = Arc::<Places>::default();
    // The saved cursor is beyond the end of the log, as if the log had been created again.
    places.kept.lock().unwrap().insert("chat".to_owned(), longhaul_engine::ports::EventCursor(99));
    start(&world, vec![webhook("chat", &[])], &Hosts::of(&[("chat", &chat)]), &places).await;
    world.clock.settle().await;
    assert_eq!(chat.words(), ["GAP"]);
}
