use crate::world::{World, command, millis, with};
use longhaul_domain::Policy;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[tokio::test(start_paused = true)]
async fn numbers_follow_what_happens() {
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
        ("longhaul_endings_total{status=\"completed\"}", "1"),
        ("longhaul_endings_total{status=\"failed\"}", "1"),
        ("longhaul_endings_total{status=\"interrupted\"}", "0"),
        ("longhaul_processes{status=\"running\"}", "1"),
        ("longhaul_processes{status=\"pending\"}", "1"),
        ("longhaul_queue_waiting{key=\"opus\"}", "1"),
        ("longhaul_queue_running{key=\"opus\"}", "1"),
        ("longhaul_queue_wait_seconds_count", "3"),
        ("longhaul_spawn_seconds_count", "3"),
        ("longhaul_process_duration_seconds_count", "2"),
        ("longhaul_process_duration_seconds_sum", "0.1"),
        ("longhaul_detection_seconds_count", "2"),
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
