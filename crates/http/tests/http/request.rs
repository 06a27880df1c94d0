use crate::world::{World, command, millis};
use axum::body::Body;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn revision_goes_along_as_the_tag_and_an_ended_process_is_not_sent_twice() {
    let world = World::new().await;
    let id = world.launch("exit 0").await;
    world.pass(millis(10)).await;
    let path = format!("/v1/processes/{id}");
    let first = world.get(&path).await;
    assert_eq!(first.json()["status"], "completed");
    let tag = format!("\"{}\"", first.json()["revision"]);
    assert_eq!(first.headers["etag"], tag.as_str());
    for known in [tag.as_str(), "*", &format!("\"999\", W/{tag}")] {
        let same = world.ask_with("GET", &path, &[("if-none-match", known)], Body::empty()).await;
        assert_eq!((same.status.as_u16(), same.bytes.len()), (304, 0), "{known}");
        assert_eq!(same.headers["etag"], tag.as_str());
    }
    let other = world.ask_with("GET", &path, &[("if-none-match", "\"999\"")], Body::empty()).await;
    assert_eq!(other.status, 200);
    let torn = world.ask_with("GET", &path, &[("if-none-match", "999")], Body::empty()).await;
    assert_eq!((torn.status.as_u16(), torn.problem().slug.as_str()), (400, "invalid_request"));
    let with_usage = format!("{path}?usage=true");
    assert!(!world.get(&with_usage).await.headers.contains_key("etag"));
    let known = world.ask_with("GET", &with_usage, &[("if-none-match", &tag)], Body::empty()).await;
    assert_eq!(known.status, 200);
    let torn = world.ask_with("GET", &with_usage, &[("if-none-match", "{}")], Body::empty()).await;
    assert_eq!(torn.problem().status, 400);
}

#[tokio::test(start_paused = true)]
async fn change_without_a_new_revision_reaches_a_conditional_request() {
    let world = World::new().await;
    let id = world.submit(json!({ "reported": {} })).await;
    let path = format!("/v1/processes/{id}");
    let first = world.get(&path).await;
    world.patch(&path, json!({ "progress": 50 })).await;
    let now = world.get(&path).await;
    assert_eq!((&now.json()["progress"], &now.headers["etag"]), (&json!(50.0), &first.headers["etag"]));
    let tag = first.headers["etag"].to_str().unwrap();
    for known in [tag, "*"] {
        let asked = world.ask_with("GET", &path, &[("if-none-match", known)], Body::empty()).await;
        assert_eq!((asked.status.as_u16(), &asked.headers["etag"]), (200, &first.headers["etag"]), "{known}");
        assert_eq!(asked.json()["progress"], 50.0);
    }
}

#[tokio::test(start_paused = true)]
async fn change_that_matches_no_more_is_refused_with_the_present_revision() {
    let world = World::new().await;
    let id = world.launch("run").await;
    world.pass(millis(10)).await;
    let revision = world.show(&id).await["revision"].as_u64().unwrap();
    let pause = format!("/v1/processes/{id}/pause");
    let ask = async |path: &str, tag: &str| {
        world.ask_with("POST", path, &[("if-match", tag)], Body::from("{}")).await
    };
    let refused = ask(&pause, "\"999\"").await;
    let problem = refused.problem();
    assert_eq!((problem.status, problem.slug.as_str()), (412, "revision_conflict"));
    assert_eq!(problem.revision, Some(revision));
    assert_eq!(refused.headers["etag"], format!("\"{revision}\"").as_str());
    assert_eq!(ask(&pause, "W/\"1\"").await.problem().status, 412);
    assert_eq!(ask(&pause, "1").await.problem().status, 400);
    assert_eq!(ask(&format!("{pause}?revision=999"), &format!("\"{revision}\"")).await.problem().status, 400);
    assert_eq!(world.show(&id).await["status"], "running");
    assert_eq!(ask(&pause, &format!("\"{revision}\"")).await.json()["process"]["status"], "paused");
    assert_eq!(ask(&format!("/v1/processes/{id}/resume"), "*").await.status, 200);
    assert_eq!(ask("/v1/processes/unknown/pause", "*").await.problem().status, 404);
}

#[tokio::test(start_paused = true)]
async fn report_returns_the_current_tag() {
    let world = World::new().await;
    let id = world.submit(json!({ "reported": {} })).await;
    let path = format!("/v1/processes/{id}");
    let mut tag = world.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    for stage in ["one", "two", "three"] {
        let body = Body::from(json!({ "stage": stage }).to_string());
        let answer = world.ask_with("PATCH", &path, &[("if-match", &tag)], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        tag = answer.headers["etag"].to_str().unwrap().to_owned();
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_the_id_of_its_request() {
    let world = World::new().await;
    let own = [("x-request-id", "job-7")];
    for (path, status) in [("/v1/health", 200), ("/v1/processes/unknown", 404), ("/nowhere", 404)] {
        let answer = world.ask_with("GET", path, &own, Body::empty()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["x-request-id"]),
            (status, &"job-7".parse().unwrap())
        );
        if status != 200 {
            assert_eq!(answer.problem().request_id.as_deref(), Some("job-7"));
        }
    }
    let made = world.get("/v1/health").await.headers["x-request-id"].clone();
    assert_ne!(made, world.get("/v1/health").await.headers["x-request-id"]);
    let long = "x".repeat(129);
    let answer = world.ask_with("GET", "/v1/health", &[("x-request-id", &long)], Body::empty()).await;
    assert_eq!(answer.headers["x-request-id"].len(), 16);
}

#[tokio::test(start_paused = true)]
async fn unsupported_method_gets_the_supported_methods() {
    let world = World::new().await;
    for (method, path, allowed) in [
        ("DELETE", "/v1/processes", ["GET", "POST"]),
        ("OPTIONS", "/v1/processes/x", ["GET", "PATCH"]),
        ("TRACE", "/v1/health", ["GET", "HEAD"]),
    ] {
        let answer = world.ask(method, path, Body::empty()).await;
        assert_eq!(answer.problem().slug, "method_not_allowed");
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
    }
    let head = world.ask("HEAD", "/v1/health", Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn body_that_says_it_is_no_json_is_refused() {
    let world = World::new().await;
    let launch = || Body::from(command("run").to_string());
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
    {
        let answer = world.ask_with("POST", "/v1/processes", &[("content-type", kind)], launch()).await;
        assert_eq!(
            (answer.problem().status, answer.problem().slug.as_str()),
            (415, "unsupported_media_type")
        );
    }
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    assert_eq!(world.ask_with("POST", "/v1/processes", &twice, launch()).await.problem().status, 415);
    assert_eq!(world.get("/v1/processes?all=true").await.json()["processes"], json!([]));
    let kind = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(world.ask_with("POST", "/v1/processes", &kind, launch()).await.status, 201);
}
