use crate::world::{World, child, command, millis, with};
use longhaul_domain::Policy;
use longhaul_testkit::fakes::PortCall;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test(start_paused = true)]
async fn metrics_follow_the_events() {
    let world = World::with(|settings| {
        settings.policy = Some(Policy { slots: [("opus".to_owned(), 1)].into(), ..Policy::default() });
    })
    .await;
    world.launch("exit 0 100").await;
    world.launch("exit 3").await;
    world.submit(with(command("run"), "key", json!("opus"))).await;
    world.submit(with(command("run"), "key", json!("opus"))).await;
    world.pass(millis(200)).await;
    let seen = numbers(&world).await;
    for (sample, value) in [
        ("longhaul_launches_total", "4"),
        ("longhaul_processes_ended_total{status=\"completed\"}", "1"),
        ("longhaul_processes_ended_total{status=\"failed\"}", "1"),
        ("longhaul_processes_ended_total{status=\"interrupted\"}", "0"),
        ("longhaul_processes{status=\"running\"}", "1"),
        ("longhaul_processes{status=\"pending\"}", "1"),
        ("longhaul_queue_waiting{key=\"opus\"}", "1"),
        ("longhaul_queue_running{key=\"opus\"}", "1"),
        ("longhaul_queue_wait_seconds_count", "3"),
        ("longhaul_spawn_seconds_count", "3"),
        ("longhaul_process_duration_seconds_count", "2"),
        ("longhaul_process_duration_seconds_sum", "0.1"),
        ("longhaul_exit_detection_seconds_count", "2"),
        ("longhaul_store_write_seconds_count{operation=\"submit\"}", "4"),
        ("longhaul_build_info{version=\"1.2.3\",protocol=\"1\"}", "1"),
    ] {
        assert_eq!(seen.get(sample).map(String::as_str), Some(value), "{sample}");
    }
    assert!(seen["process_resident_memory_bytes"].parse::<u64>().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn text_is_of_the_exposition_format() {
    let world = World::new().await;
    world.submit(with(command("run"), "key", json!("say \"hi\" \\ there"))).await;
    world.pass(millis(10)).await;
    let answer = world.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.bytes).unwrap();
    assert!(text.ends_with('\n') && text.contains("{key=\"say \\\"hi\\\" \\\\ there\"}"));
    let mut families = BTreeSet::new();
    let mut kind = ("", "");
    let mut samples = BTreeSet::new();
    let mut last_bucket = 0_u64;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.split_once(' ').unwrap();
            assert!(families.insert(kind.0), "{} comes twice", kind.0);
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(samples.insert(sample), "{sample} comes twice");
        let number: f64 = value.parse().unwrap();
        assert!(number.is_finite() && number >= 0.0, "{line}");
        let name = sample.split('{').next().unwrap();
        match kind.1 {
            "counter" => assert!(name == kind.0 && name.ends_with("_total"), "{line}"),
            "gauge" => assert_eq!(name, kind.0),
            "histogram" => match name.strip_prefix(kind.0).unwrap() {
                "_bucket" => {
                    let count: u64 = value.parse().unwrap();
                    let is_first = sample.contains("le=\"0.001\"") || sample.contains("le=\"0.005\"");
                    assert!(count >= last_bucket || is_first || sample.contains("le=\"0.1\""), "{line}");
                    last_bucket = count;
                }
                "_count" => assert_eq!(value, last_bucket.to_string(), "{line}"),
                "_sum" => {}
                other => panic!("{other} is no part of a histogram"),
            },
            other => panic!("{other} is no type"),
        }
    }
    assert!(families.len() > 15, "{families:?}");
}

#[tokio::test(start_paused = true)]
async fn numbers_need_the_store() {
    let world = World::new().await;
    world.store.set_down(true);
    assert_eq!(world.get("/metrics").await.problem().status, 503);
}

#[tokio::test(start_paused = true)]
async fn counting_does_not_read_the_log_for_every_launch() {
    let world = World::new().await;
    world.pass(millis(1)).await;
    let before = reads_of_log(&world);
    for _ in 0..20 {
        world.launch("exit 0 1").await;
        world.pass(millis(5)).await;
    }
    let reads = reads_of_log(&world) - before;
    assert!(reads <= 5, "the log was read {reads} times");
    let seen = numbers(&world).await;
    for sample in [
        "longhaul_launches_total",
        "longhaul_processes_ended_total{status=\"completed\"}",
        "longhaul_exit_detection_seconds_count",
    ] {
        assert_eq!(seen[sample], "20", "{sample}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_between_scrapes_are_counted_once() {
    let world = World::new().await;
    for _ in 0..3 {
        world.launch("exit 0 1").await;
        world.pass(millis(400)).await;
    }
    let before = reads_of_log(&world);
    world.pass(millis(60_000)).await;
    assert_eq!(reads_of_log(&world), before, "nothing happened");
    for _ in 0..2 {
        assert_eq!(numbers(&world).await["longhaul_launches_total"], "3");
    }
}

#[tokio::test(start_paused = true)]
async fn exit_that_is_recorded_after_the_deadline_is_counted_as_late() {
    let world = World::new().await;
    world.launch("exit 0 1000").await;
    world.pass(millis(2_000)).await;
    let late = async || {
        let stats = world.get("/v1/stats").await.json()["late_detections"].clone();
        let metrics = numbers(&world).await["longhaul_late_detections_total"].clone();
        assert_eq!(stats.to_string(), metrics);
        stats
    };
    assert_eq!(late().await, 0);
    world.launch("exit 0 1000").await;
    world.pass(millis(500)).await;
    world.store.set_down(true);
    world.pass(millis(3_000)).await;
    world.store.set_down(false);
    world.pass(millis(20_000)).await;
    assert_eq!(late().await, 1);
}

#[tokio::test(start_paused = true)]
async fn exit_of_a_process_that_waits_for_its_children_is_counted_once() {
    let world = World::new().await;
    let top = world.submit(with(command("exit 0 100"), "children", json!("wait"))).await;
    world.submit(child("exit 0 5000", &top)).await;
    world.pass(millis(200)).await;
    assert_eq!(world.show(&top).await["status"], "running");
    assert_eq!(numbers(&world).await["longhaul_exit_detection_seconds_count"], "1");
    world.pass(millis(10_000)).await;
    assert_eq!(world.show(&top).await["status"], "completed");
    let seen = numbers(&world).await;
    assert_eq!(seen["longhaul_exit_detection_seconds_count"], "2");
    assert!(seen["longhaul_exit_detection_seconds_sum"].parse::<f64>().unwrap() < 1.0, "{seen:?}");
}

fn reads_of_log(world: &World) -> usize {
    world.store.calls().iter().filter(|call| matches!(call, PortCall::Events)).count()
}

async fn numbers(world: &World) -> BTreeMap<String, String> {
    let answer = world.get("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = String::from_utf8(answer.bytes).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
