use crate::world::{World, command, with};
use axum::body::Body;
use longhaul_testkit::fakes::PortCall;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn hostile_values_are_invalid_requests_and_change_nothing() {
    let world = World::new().await;
    let long = "k".repeat(300);
    for (field, value) in [
        ("key", json!(long)),
        ("launch_key", json!(long)),
        ("session_id", json!("a\u{1b}[31m")),
        ("name", json!("a\u{202e}b")),
        ("project", json!("a\nb")),
        ("agent_id", json!("a\u{0}b")),
        ("capabilities", json!(["fine", "a\tb"])),
        ("metadata", json!({ "a": "x".repeat(64 * 1024) })),
        ("priority", json!(101)),
        ("priority", json!(-101)),
        ("delay_ms", json!(-1)),
        ("not_before", json!("soon")),
        ("not_before", json!("30s")),
        ("not_before", json!("2023-11-14T22:13:20")),
        ("not_before", json!("2099-01-01T00:00:00Z")),
        ("id", json!("3f2a9c1b-0000-4000-8000-000000000000")),
    ] {
        let problem = world.post("/v1/processes", with(command("run"), field, value.clone())).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{field} {value}");
        assert!(problem.detail.is_some(), "{field} {value}");
    }
    for limit in ["cpu_seconds", "memory_bytes", "open_files", "processes", "file_bytes"] {
        for value in [json!(-1), json!(0), json!(1.5)] {
            let mut launch = command("run");
            launch["command"]["limits"] = json!({ limit: value });
            let problem = world.post("/v1/processes", launch).await.problem();
            assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{limit}");
        }
    }
    let both = with(with(command("run"), "delay_ms", json!(1)), "not_before", json!("2023-11-15T00:00:00Z"));
    assert_eq!(world.post("/v1/processes", both).await.problem().slug, "invalid_request");
    assert_eq!(world.get("/v1/processes?all=true").await.json()["processes"], json!([]));
    assert!(!world.store.calls().contains(&PortCall::Submit));
}

#[tokio::test(start_paused = true)]
async fn list_is_refused_wherever_an_object_is_meant() {
    let world = World::new().await;
    let wholes = [json!([]), json!([{}]), json!([null]), json!([[]]), json!(["x"]), json!([1])];
    for place in [
        "/command",
        "/command/environment",
        "/command/environment/captured",
        "/command/environment/declared",
        "/command/output",
        "/command/limits",
        "/command/ready_when",
        "/command/watch/0",
        "/reported",
        "/retry",
        "/metadata",
        "",
    ] {
        for whole in &wholes {
            let mut launch = command("run");
            launch["command"]["environment"] = json!({});
            launch["command"]["watch"] = json!([{ "name": "e", "pattern": "x" }]);
            match place.rsplit_once('/') {
                None => launch = whole.clone(),
                Some((_, "reported")) => launch = json!({ "reported": whole }),
                Some((around, "0")) => launch.pointer_mut(around).unwrap()[0] = whole.clone(),
                Some((around, field)) => launch.pointer_mut(around).unwrap()[field] = whole.clone(),
            }
            let problem = world.post("/v1/processes", launch).await.problem();
            assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{place} {whole}");
        }
    }
    assert!(!world.store.calls().contains(&PortCall::Submit));
}

#[tokio::test(start_paused = true)]
async fn progress_that_is_no_percentage_is_refused() {
    let world = World::new().await;
    let id = world.submit(json!({ "reported": {} })).await;
    let path = format!("/v1/processes/{id}");
    for text in ["NaN", "Infinity", "1e999", "-1e999", "\"50\"", "[50]"] {
        let body = Body::from(format!("{{\"progress\":{text}}}"));
        let problem = world.ask("PATCH", &path, body).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{text}");
    }
    assert_eq!(world.show(&id).await["progress"], 0.0);
    for outside in [100.1, -3.0] {
        let body = Body::from(json!({ "progress": outside }).to_string());
        let problem = world.ask("PATCH", &path, body).await.problem();
        assert_eq!((problem.status, problem.slug.as_str()), (400, "invalid_request"), "{outside}");
    }
    world.patch(&path, json!({ "progress": 12.5 })).await;
    assert_eq!(world.show(&id).await["progress"], 12.5);
}

#[tokio::test(start_paused = true)]
async fn deeply_nested_json_is_refused_before_it_is_decoded() {
    let world = World::new().await;
    let id = world.submit(json!({ "reported": {} })).await;
    let bomb = |open: &str, close: &str| {
        format!("{{\"metadata\":{}{}}}", open.repeat(100_000), close.repeat(100_000))
    };
    for body in [bomb("[", "]"), bomb("{\"a\":", "}"), "[".repeat(500_000)] {
        for path in ["/v1/processes", "/v1/prune", "/v1/cancel", &format!("/v1/processes/{id}/complete")] {
            let problem = world.ask("POST", path, Body::from(body.clone())).await.problem();
            assert!([400, 413].contains(&problem.status), "{path}: {problem:?}");
        }
    }
}
