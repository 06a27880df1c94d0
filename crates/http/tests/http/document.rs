use crate::world::World;
use axum::body::Body;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn every_operation_of_the_document_is_served_and_named_once() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let served = methods.as_object().unwrap().keys().map(|method| method.to_ascii_uppercase());
        let served: BTreeSet<String> = served.collect();
        for operation in methods.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
        }
        let concrete = path.replace(['{', '}'], "");
        let answer = world.ask("PUT", &concrete, Body::empty()).await;
        assert_eq!(answer.status, 405, "{path} is missing");
        let allowed: BTreeSet<String> =
            answer.headers["allow"].to_str().unwrap().split(',').map(str::to_owned).collect();
        let allowed: BTreeSet<String> = allowed.into_iter().filter(|method| method != "HEAD").collect();
        assert_eq!(served, allowed, "{path}");
    }
    assert!(ids.len() > 30, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn every_operation_documents_its_parameters_and_responses() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
        for range in ["4XX", "5XX"] {
            let schema = &responses[range]["content"]["application/problem+json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{method} {path}");
        }
        let parameters = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|one| one["in"] == "path")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let named: BTreeSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
            .collect();
        assert_eq!(in_path, named, "{method} {path}");
        for parameter in &parameters {
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{path} {parameter}");
            let schema = &parameter["schema"];
            assert!(schema["type"].is_string() || schema["$ref"].is_string(), "{path} {parameter}");
        }
        let is_change = method != "get";
        let guards = parameters.iter().any(|one| one["name"] == "if-match");
        let is_command = is_change && path.starts_with("/v1/processes/{reference}");
        assert_eq!(guards, is_command, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn references_of_the_document_lead_somewhere_and_requests_are_closed() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    let mut references = BTreeSet::new();
    gather(&document, &mut references);
    assert!(references.len() > 20);
    for reference in &references {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    let components = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in components {
        assert!(
            references.contains(&format!("#/components/schemas/{name}")),
            "no operation refers to {name}"
        );
        let is_request = name.ends_with("Request") && schema["type"] == "object";
        assert_eq!(schema.get("additionalProperties") == Some(&Value::Bool(false)), is_request, "{name}");
    }
    let launched = &document["paths"]["/v1/processes"]["post"]["responses"]["201"]["links"];
    let of_one = |path: &String| path.starts_with("/v1/processes/{reference}");
    let follow: BTreeSet<String> = launched.as_object().unwrap().keys().cloned().collect();
    let asked: BTreeSet<String> = operations(&document)
        .into_iter()
        .filter(|(path, ..)| of_one(path))
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(follow, asked);
    let text = document.to_string();
    assert!(!text.contains("$schema") && !text.contains("#/loose") && !text.contains("$defs"));
}

#[tokio::test(start_paused = true)]
async fn bounds_of_requests_are_in_the_document() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    let field =
        |request: &str, field: &str| document["components"]["schemas"][request]["properties"][field].clone();
    assert_eq!(field("LaunchRequest", "priority")["maximum"], 100);
    assert_eq!(field("LaunchRequest", "name")["maxLength"], 128);
    assert_eq!(field("CommandRequest", "stop_signal")["maximum"], 64);
    assert_eq!(field("LimitsRequest", "memory_bytes")["minimum"], 1_048_576);
    assert_eq!(field("LimitsRequest", "memory_bytes")["maximum"], u64::MAX);
    assert!(field("LaunchRequest", "children")["enum"].as_array().unwrap().contains(&"cancel".into()));
    let (_, _, wait) = operations(&document).into_iter().find(|(path, ..)| path == "/v1/wait").unwrap();
    let parameters = wait["parameters"].as_array().unwrap();
    let named = |name: &str| parameters.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(
        (named("id")["required"].clone(), named("id")["schema"]["type"].clone()),
        (true.into(), "array".into())
    );
    assert_eq!(named("mode")["schema"]["enum"], serde_json::json!(["all", "any"]));
    assert!(named("mode")["schema"].get("default").is_none());
    let (_, _, session) =
        operations(&document).into_iter().find(|(path, ..)| path == "/v1/sessions/{id}").unwrap();
    let parameters = session["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|one| one["name"] == "project"));
    assert!(parameters.iter().all(|one| one["name"] != "session"), "the path contains the parameter");
    let level = field("CancelLevelRequest", "level");
    assert_eq!((level["maximum"].clone(), level["minimum"].clone()), (255.into(), 0.into()));
}

/// If a schema has `oneOf` or a similar keyword, or several types, client generators drop or confuse its fields.
#[tokio::test(start_paused = true)]
async fn requests_are_plain_objects_and_nothing_has_a_default() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    let components = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in components {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(schema.get("default").is_none(), "{name}.{field}");
        }
    }
    for (name, schema) in components.iter().filter(|(name, _)| name.ends_with("Request")) {
        let Some(fields) = schema["properties"].as_object() else { continue };
        for keyword in ["oneOf", "anyOf", "allOf", "not", "if"] {
            assert!(schema.get(keyword).is_none(), "{name}: {keyword}");
        }
        for (field, schema) in fields {
            for keyword in ["oneOf", "anyOf", "allOf", "not"] {
                assert!(schema.get(keyword).is_none(), "{name}.{field}: {keyword}");
            }
            // A field for which no type is declared accepts arbitrary JSON.
            let is_of_one_type = schema["type"].is_string() || schema["$ref"].is_string();
            assert!(is_of_one_type || schema.get("type").is_none(), "{name}.{field}: {schema}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn document_groups_operations_and_declares_the_headers_that_are_sent() {
    let world = World::new().await;
    let document = world.get("/v1/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "/");
    let tags = document["tags"].as_array().unwrap();
    for (path, method, operation) in operations(&document) {
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{method} {path}") };
        assert!(tags.iter().any(|known| known["name"] == *tag), "{method} {path}: {tag}");
    }
    let headers = |path: &str, method: &str, status: &str| {
        document["paths"][path][method]["responses"][status]["headers"].as_object().unwrap().clone()
    };
    assert!(headers("/v1/processes/{reference}", "get", "200").contains_key("etag"));
    assert!(headers("/v1/processes", "post", "201").contains_key("location"));
    let made = world.post("/v1/processes", crate::world::command("run")).await;
    let path = made.headers["location"].to_str().unwrap().to_owned();
    let found = world.get(&path).await;
    assert_eq!(found.json()["id"], made.json()["process"]["id"]);
    assert!(found.headers.contains_key("etag"));
    let status = &document["components"]["schemas"]["ProcessView"]["properties"]["status"];
    assert_eq!(status["enum"].as_array().unwrap().len(), longhaul_domain::Status::ALL.len());
}

fn operations(document: &Value) -> Vec<(String, String, Map<String, Value>)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((path.clone(), method.clone(), operation.as_object().unwrap().clone()));
        }
    }
    all
}

fn gather(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.clone());
            }
            fields.values().for_each(|value| gather(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
