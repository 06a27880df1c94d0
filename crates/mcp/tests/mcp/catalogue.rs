//! Tests of the list of tools.

use crate::world::{Era, World, opening, with};
use rmcp::model::{ClientRequest, ListToolsRequest, Tool};
use serde_json::{Value, json};

/// Golden file with the list of tools. The test rewrites it if `UPDATE_GOLDEN=1` is set.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools.json");
/// Maximum total size of all names, descriptions and input schemas, in tokens.
const INPUTS: usize = 3_500;
/// Maximum size of the whole reply to `tools/list`, in bytes.
const WHOLE: usize = 24_000;

#[tokio::test]
async fn list_of_tools_is_the_one_in_the_golden_file() {
    let client = World::new().await.client(Era::Stateless).await;
    let tools: Vec<&Tool> = client.tools().values().collect();
    let listed = format!("{}\n", serde_json::to_string_pretty(&tools).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &listed).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(golden == listed, "the list of tools changed: review it, then update it with UPDATE_GOLDEN=1");
}

#[tokio::test]
async fn list_of_tools_is_sorted_and_the_same_for_all_clients() {
    let world = World::new().await;
    for era in [Era::Initialize, Era::Stateless] {
        let listed = world.client(era).await.running.list_all_tools().await.unwrap();
        let names: Vec<&str> = listed.iter().map(|tool| tool.name.as_ref()).collect();
        assert!(names.is_sorted() && names.len() == 18, "{names:?}");
    }
}

#[tokio::test]
async fn list_of_tools_stays_within_its_budget() {
    let client = World::new().await.client(Era::Stateless).await;
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::default());
    let whole = serde_json::to_string(&client.running.send_request(request).await.unwrap()).unwrap().len();
    assert!(whole <= WHOLE, "{whole}");
    let mut inputs = 0;
    for tool in client.tools().values() {
        let mut told = serde_json::to_value(tool).unwrap();
        let kept = ["name", "title", "description", "inputSchema"];
        told.as_object_mut().unwrap().retain(|field, _| kept.contains(&field.as_str()));
        inputs += told.to_string().len();
    }
    assert!(inputs.div_ceil(4) <= INPUTS, "{}", inputs.div_ceil(4));
}

#[tokio::test]
async fn every_argument_is_described() {
    fn check(schema: &Value, place: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            assert!(field["description"].as_str().is_some_and(|said| !said.is_empty()), "{place}");
            check(field, &place);
        }
    }
    let client = World::new().await.client(Era::Stateless).await;
    for tool in client.tools().values() {
        check(&Value::Object((*tool.input_schema).clone()), &tool.name);
    }
}

#[tokio::test]
async fn schemas_contain_only_widely_supported_keywords() {
    let client = World::new().await.client(Era::Stateless).await;
    for tool in client.tools().values() {
        let input = Value::Object((*tool.input_schema).clone());
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        for schema in [&input, &output] {
            assert_eq!(schema["type"], "object", "{}", tool.name);
            lint(schema, &tool.name);
        }
        assert_eq!(input["additionalProperties"], false, "{}", tool.name);
    }
}

fn lint(schema: &Value, tool: &str) {
    let known = [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "description",
        "default",
        "additionalProperties",
        "maximum",
        "minimum",
        "maxItems",
        "minItems",
    ];
    let keywords = schema.as_object().unwrap_or_else(|| panic!("{tool}: {schema}"));
    for (keyword, value) in keywords {
        assert!(known.contains(&keyword.as_str()), "{tool}: {keyword}");
        match keyword.as_str() {
            "type" => assert!(value.is_string(), "{tool}: {value}"),
            "default" => assert!(!value.is_null(), "{tool}"),
            "properties" => value.as_object().unwrap().values().for_each(|inner| lint(inner, tool)),
            "items" => lint(value, tool),
            "additionalProperties" if value.is_object() => lint(value, tool),
            _ => {}
        }
    }
}

#[tokio::test]
async fn required_inputs_are_those_that_were_promised() {
    let client = World::new().await.client(Era::Stateless).await;
    for (tool, required) in [
        ("start_background_process", json!(["process_type", "name", "command"])),
        ("get_process_status", json!(["process_id"])),
        ("get_background_process_status", json!(["process_id"])),
        ("stop_background_process", json!(["process_id"])),
        ("list_background_processes", Value::Null),
    ] {
        let schema = Value::Object((*client.tools()[tool].input_schema).clone());
        assert_eq!(schema["required"], required, "{tool}");
    }
    let start = Value::Object((*client.tools()["start_background_process"].input_schema).clone());
    assert_eq!(start["properties"]["timeout"]["type"], "number");
    assert_eq!(start["properties"]["metadata"]["type"], "object");
    let list = Value::Object((*client.tools()["list_background_processes"].input_schema).clone());
    let filter = &list["properties"]["filter_type"];
    assert_eq!(filter["enum"], json!(["all", "running", "completed", "failed"]));
}

#[tokio::test]
async fn tools_have_correct_annotations() {
    let client = World::new().await.client(Era::Stateless).await;
    let reading: Vec<&str> = client
        .tools()
        .values()
        .filter(|tool| tool.annotations.as_ref().unwrap().read_only_hint == Some(true))
        .map(|tool| tool.name.as_ref())
        .collect();
    let expected = [
        "get_background_process_status",
        "get_process_status",
        "get_test_results",
        "list_background_processes",
        "read_artifacts",
        "read_process_output",
        "search_process_output",
        "wait_for_process",
    ];
    assert_eq!(reading, expected);
    let hints = |tool: &str| client.tools()[tool].annotations.clone().unwrap();
    assert!(hints("stop_background_process").is_destructive());
    assert!(hints("stop_background_process").is_idempotent());
    assert!(!hints("report_progress").is_destructive());
    assert!(client.tools().values().all(|tool| tool.title.is_some()));
}

#[tokio::test]
async fn read_only_client_sees_and_can_call_only_reading_tools() {
    let world = World::new().await;
    let reader = world.client_of(Era::Initialize, with(opening(), "read_only", json!(true))).await;
    assert_eq!(reader.tools().len(), 8);
    let owner = world.client(Era::Initialize).await;
    let id = owner.start("run").await;
    for (tool, arguments) in [
        ("start_background_process", json!({ "process_type": "build", "name": "b", "command": "run" })),
        ("stop_background_process", json!({ "process_id": id })),
        ("pause_process", json!({ "process_id": id })),
        ("report_progress", json!({ "process_id": id, "progress": 5 })),
    ] {
        assert_eq!(reader.refusal(tool, arguments).await["code"], "read_only", "{tool}");
    }
    assert_eq!(reader.call("get_process_status", json!({ "process_id": id })).await["status"], "running");
}
