use crate::world::World;
use axum::body::Body;
use axum::http::{Method, Request, Uri};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::fmt::Write;

#[test]
fn no_bytes_of_a_request_cause_a_panic_or_a_hang() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let world = runtime.block_on(World::new());
    let known = runtime.block_on(world.launch("run"));
    let mut runner = TestRunner::new(ProptestConfig { cases: 1_000, ..ProptestConfig::default() });
    let requests = (methods(), paths(known), queries(), bodies(), proptest::option::of(header()));
    runner
        .run(&requests, |(method, path, query, body, header)| {
            let Ok(uri) = format!("{path}?{query}").parse::<Uri>() else { return Ok(()) };
            let mut request = Request::builder().method(method).uri(uri);
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
            let service = TowerToHyperService::new(world.router.clone());
            let answer = runtime.block_on(async {
                let answer = service.call(request);
                // A wait for a process that never ends would block the test.
                tokio::time::timeout(std::time::Duration::from_secs(1), answer).await
            });
            if let Ok(answer) = answer {
                let status = answer.unwrap().status();
                prop_assert!(!status.is_server_error(), "{status}");
            }
            Ok(())
        })
        .unwrap();
}

fn methods() -> impl Strategy<Value = Method> {
    let words = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"];
    proptest::sample::select(words.to_vec()).prop_map(|word| Method::from_bytes(word.as_bytes()).unwrap())
}

fn paths(known: String) -> impl Strategy<Value = String> {
    let verbs = [
        "",
        "/cancel",
        "/pause",
        "/resume",
        "/signal",
        "/priority",
        "/retry",
        "/restart",
        "/complete",
        "/fail",
        "/output",
        "/usage",
        "/why",
        "/tree",
    ];
    let of_one = (prop_oneof![Just(known), encoded()], proptest::sample::select(verbs.to_vec()))
        .prop_map(|(reference, verb)| format!("/v1/processes/{reference}{verb}"));
    let others = [
        "/v1/processes",
        "/v1/cancel",
        "/v1/queues",
        "/v1/stats",
        "/v1/prune",
        "/v1/restart-interrupted",
        "/v1/wait",
        "/v1/version",
        "/v1/health",
        "/v1/ready",
        "/v1/openapi.json",
        "/v1/events",
    ];
    prop_oneof![
        4 => of_one,
        3 => proptest::sample::select(others.to_vec()).prop_map(str::to_owned),
        1 => encoded().prop_map(|key| format!("/v1/queues/{key}")),
        1 => encoded().prop_map(|id| format!("/v1/sessions/{id}/end")),
        1 => encoded().prop_map(|id| format!("/v1/sessions/{id}")),
        1 => "/[!-~]{0,40}",
    ]
}

fn queries() -> impl Strategy<Value = String> {
    let names = [
        "id",
        "revision",
        "status",
        "limit",
        "cursor",
        "level",
        "from",
        "lines",
        "since",
        "follow",
        "usage",
        "mode",
        "for",
        "timeout_ms",
        "after",
        "type",
        "format",
        "tree",
        "%ff",
    ];
    let pair =
        (proptest::sample::select(names.to_vec()), prop_oneof![encoded(), "[0-9]{1,25}", "-?[0-9a-z]{0,6}"]);
    let pairs = proptest::collection::vec(pair.prop_map(|(name, value)| format!("{name}={value}")), 0..4);
    prop_oneof![9 => pairs.prop_map(|pairs| pairs.join("&")), 1 => "[!-~]{0,60}"]
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let fields = [
        "level", "force", "priority", "first", "progress", "stage", "status", "result", "error", "slots",
        "held", "by", "policy", "grace_ms", "keep", "bytes", "dry_run", "ids", "reported", "command",
        "metadata", "retry", "name",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let field =
            prop_oneof![proptest::sample::select(fields.to_vec()).prop_map(str::to_owned), any::<String>()];
        let pair = (field, inner.clone())
            .prop_map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).unwrap()));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            proptest::collection::vec(pair, 0..4).prop_map(|pairs| format!("{{{}}}", pairs.join(","))),
        ]
    });
    prop_oneof![1 => any::<Vec<u8>>(), 4 => value.prop_map(String::into_bytes)]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let names = [
        "if-match",
        "if-none-match",
        "idempotency-key",
        "x-request-id",
        "content-type",
        "accept",
        "last-event-id",
        "content-length",
    ];
    (proptest::sample::select(names.to_vec()), any::<Vec<u8>>())
}

/// Generates arbitrary bytes, percent-encoded for use in a path or query.
fn encoded() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02x}").unwrap();
            text
        })
    })
}
