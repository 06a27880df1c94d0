//! Tests of `get_test_results`.

use crate::world::{Era, World, launch, with};
use serde_json::{Value, json};
use std::time::Duration;

/// Starts a process that prints the results of failed tests, and returns its id.
async fn failed_run(world: &World, client: &crate::world::Client, failures: usize) -> Value {
    let asked = with(launch("cargo test"), "process_type", json!("test_suite"));
    let id = client.call("start_background_process", asked).await["process_id"].clone();
    world.pass(Duration::from_secs(1)).await;
    let mut text = format!("running {} tests\ntest good ... ok\n", failures + 1);
    for n in 0..failures {
        text.push_str(&format!("test bad{n} ... FAILED\n"));
    }
    text.push_str("\nfailures:\n\n");
    for n in 0..failures {
        text.push_str(&format!(
            "---- bad{n} stdout ----\n\nthread 'bad{n}' panicked at src/lib.rs:{}:9:\nsum {n} is off\n\n",
            n + 1
        ));
    }
    text.push_str(&format!(
        "failures:\n\ntest result: FAILED. 1 passed; {failures} failed; 0 ignored; 0 measured; 0 filtered out; finished \
         in 0.01s\n\n"
    ));
    world.print_and_exit(id.as_str().unwrap(), &text, 101);
    world.pass(Duration::from_secs(5)).await;
    id
}

#[tokio::test]
async fn failures_are_grouped_and_have_a_message_and_a_location_but_no_empty_fields() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let id = failed_run(&world, &client, 2).await;
    let seen = client.call("get_test_results", json!({ "process_id": id })).await;
    assert_eq!((&seen["tests"]["failed"], &seen["tests"]["passed"]), (&json!(2), &json!(1)));
    assert_eq!(seen["groups"][0]["count"], 2);
    assert_eq!((&seen["cases"][0]["id"], &seen["cases"][0]["line"]), (&json!("bad0"), &json!(1)));
    assert!(!seen.to_string().contains("null"), "{seen}");
    let all = client.call("get_test_results", json!({ "process_id": id, "all": true })).await;
    assert_eq!(all["cases"].as_array().unwrap().len(), 3);
    let other = failed_run(&world, &client, 1).await;
    let asked = json!({ "process_id": other, "compare_with": id });
    let diff = client.call("get_test_results", asked).await;
    assert_eq!((&diff["still_failing"]["count"], &diff["removed"]["ids"]), (&json!(1), &json!(["bad1"])));
}

#[tokio::test]
async fn results_of_any_size_fit_the_budget_and_pages_join() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = failed_run(&world, &client, 300).await;
    let (mut seen, mut cursor) = (0, Value::Null);
    loop {
        let asked = json!({ "process_id": id, "max_tokens": 600, "cursor": cursor });
        let page = client.call("get_test_results", asked).await;
        assert!(page.to_string().len() <= 600 * 4 + 160, "{}", page.to_string().len());
        seen += page["cases"].as_array().map_or(0, Vec::len);
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, 300);
}

#[tokio::test]
async fn failed_tests_are_run_again_by_restart_process() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let id = failed_run(&world, &client, 1).await;
    let asked = json!({ "process_id": id, "failed_tests": true });
    let again = client.call("restart_process", asked).await;
    assert_ne!(again["process_id"], id);
    let order = world.orders.lock().unwrap().last().cloned();
    world.pass(Duration::from_secs(1)).await;
    assert!(order.is_some());
    let status = client.call("get_process_status", json!({ "process_id": again["process_id"] })).await;
    assert!(status["command"].to_string().contains("bad0"), "{status}");
}
