//! Generates the reference page of the HTTP API from the OpenAPI document.

use crate::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/http.md");

const INTRODUCTION: &str = "\
# HTTP

A test of `crates/http` generates this page from the OpenAPI document, and writes it with UPDATE_GOLDEN=1. A running
manager serves the document at `/v1/openapi.json`.

- **Address.** The manager serves the API on the socket `longhaul.sock` in the state directory. It can also listen on
  the network ([security](../security.md#network-access)).
- **Processes.** `{reference}` is the id of a process, a unique prefix of the id, or a name.
- **Errors.** The answer to a request that fails is a [`Problem`](#problem). Its field `type` contains one of the
  [error codes](#error-codes). Every operation can return errors.
- **Versions.** New versions only add fields and values. Clients must ignore fields that they do not know.

For example:

```sh
curl --unix-socket ~/.local/state/longhaul/longhaul.sock http://localhost/v1/processes
```
";

/// Meanings of the error codes that only HTTP uses. `longhaul explain` describes all other error codes.
const HTTP_CODES: &[(&str, &str)] = &[
    ("cursor_invalid", "The cursor does not belong to this output, or it is damaged"),
    ("forbidden_host", "The header `Host` names an address that the manager does not serve"),
    ("forbidden_origin", "A web page of another origin sent the request"),
    ("idempotency_key_in_use", "An identical request is still being processed"),
    ("idempotency_key_reused", "The key was used for another request"),
    ("not_ready", "The store does not answer"),
    ("output_in_flux", "The middle of the output is deleted faster than it can be read"),
    ("pattern_invalid", "The regular expression is not valid"),
    ("peer_refused", "A node sent a request that nodes may not send"),
    ("peer_unproven", "A node did not prove that it has the cluster key"),
    ("read_only", "The token allows only requests that change nothing"),
    ("session_not_found", "The session has no process"),
    ("token_required", "The request has no token"),
    ("token_unknown", "The token is not valid"),
    ("too_many_connections", "The manager has no free connection"),
    ("unsupported_media_type", "The body is not `application/json`"),
];

#[tokio::test(start_paused = true)]
async fn reference_of_http_is_the_openapi_document() {
    let document = World::new().await.get("/v1/openapi.json").await.json();
    let text = page(&document);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(PAGE, &text).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        text == written,
        "docs/reference/http.md is outdated: read it, then write it with UPDATE_GOLDEN=1"
    );
}

fn page(document: &Value) -> String {
    let mut page = INTRODUCTION.to_owned();
    for tag in document["tags"].as_array().unwrap() {
        let (name, about) = (string(&tag["name"]), string(&tag["description"]));
        let (first, rest) = name.split_at(1);
        let _ = write!(page, "\n## {}{rest}\n\n{about}.\n", first.to_ascii_uppercase());
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation["tags"][0] == *name {
                    page.push_str(&section(method, path, operation));
                }
            }
        }
    }
    page.push_str(&error_codes());
    page.push_str("\n## Types\n");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        page.push_str(&definition(name, schema));
    }
    page
}

/// Returns the section of the reference page that describes an operation.
fn section(method: &str, path: &str, operation: &Value) -> String {
    let mut text =
        format!("\n### {} {path}\n\n{}.\n", method.to_ascii_uppercase(), string(&operation["summary"]));
    if let Some(parameters) = operation.get("parameters").and_then(Value::as_array) {
        text.push_str("\n| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n");
        for one in parameters {
            let name = string(&one["name"]);
            let required = if one["required"] == true && one["in"] != "path" { " (required)" } else { "" };
            let (part, kind, about) = (string(&one["in"]), kind(&one["schema"]), cell(&one["description"]));
            let _ = writeln!(text, "| `{name}`{required} | {part} | {kind} | {about} |");
        }
    }
    if let Some(body) = operation.get("requestBody") {
        let optional = if body["required"] == true { "" } else { " (optional)" };
        let _ = writeln!(text, "\nBody: {}{optional}", kind(&body["content"]["application/json"]["schema"]));
    }
    text.push_str("\n| status | answer | meaning |\n| --- | --- | --- |\n");
    for (status, response) in operation["responses"].as_object().unwrap() {
        if status.starts_with('4') || status.starts_with('5') {
            continue;
        }
        let content = response.get("content").and_then(Value::as_object);
        let kinds: Vec<String> =
            content.into_iter().flatten().map(|(media, shape)| answer(media, shape)).collect();
        let kinds = if kinds.is_empty() { "–".to_owned() } else { kinds.join(" or ") };
        let _ = writeln!(text, "| {status} | {kinds} | {} |", cell(&response["description"]));
    }
    text
}

/// Returns the description of a response body's type, for this media type and schema.
fn answer(media: &str, shape: &Value) -> String {
    match shape.get("schema") {
        Some(schema) if media == "application/json" => kind(schema),
        Some(schema) => format!("`{media}` of {}", kind(schema)),
        None => format!("`{media}`"),
    }
}

/// Returns the section of the reference page that describes a type.
fn definition(name: &str, schema: &Value) -> String {
    let mut text = format!("\n### `{name}`\n\n{}\n", schema["description"].as_str().unwrap_or_default());
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_request = name.ends_with("Request");
        text.push_str("\n| field | type | meaning |\n| --- | --- | --- |\n");
        for (field, schema) in fields {
            let is_required = is_request && required.iter().any(|each| each == field);
            let mark = if is_required { " (required)" } else { "" };
            let _ =
                writeln!(text, "| `{field}`{mark} | {} | {} |", kind(schema), cell(&schema["description"]));
        }
    }
    if let Some(values) = schema.get("oneOf").and_then(Value::as_array) {
        text.push_str("\n| value | meaning |\n| --- | --- |\n");
        for value in values {
            let _ = writeln!(text, "| {} | {} |", kind(value), cell(&value["description"]));
        }
    }
    text
}

/// Returns the name of a type, with links to those types that the reference page describes.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(|reference| string(reference).rsplit('/').next()) {
        return format!("[`{name}`](#{})", name.to_lowercase());
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", string(value));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`"));
        return values.collect::<Vec<_>>().join(", ");
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(name) => vec![string(name)],
        None => return "any JSON".to_owned(),
    };
    let named = names.into_iter().map(|name| match (name, schema.get("items")) {
        ("array", Some(items)) => format!("list of {}", kind(items)),
        ("string", _) => "text".to_owned(),
        (name, _) => name.to_owned(),
    });
    named.collect::<Vec<_>>().join(" or ")
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Returns a description in a form that fits into one table cell.
fn cell(description: &Value) -> String {
    let text = description.as_str().unwrap_or_default();
    text.replace("\n- ", "<br>- ").replace('\n', " ").replace('|', "\\|")
}

/// Returns the table of the error codes. The codes are read from the source files.
fn error_codes() -> String {
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in
        sources(&Path::new(CRATES).join("api/src")).chain(sources(&Path::new(CRATES).join("http/src")))
    {
        let text = fs::read_to_string(file).unwrap();
        let text = on_one_line(text.split("#[cfg(test)]").next().unwrap_or_default());
        for (at, _) in text.match_indices(", \"") {
            let status = text[..at]
                .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            let code = text[at + 3..].split('"').next().unwrap_or_default();
            let is_status = status.len() == 3 && (status.starts_with('4') || status.starts_with('5'));
            if is_status && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')) {
                codes.entry(code.to_owned()).or_default().insert(status.to_owned());
            }
        }
    }
    assert!(codes.len() > 40, "{codes:?}");
    let explanations = fs::read_to_string(Path::new(CRATES).join("cli/src/explain.rs")).unwrap();
    let explanations = on_one_line(&explanations);
    let mut table = String::from(
        "\n## Error codes\n\nHTTP, MCP and the command line use the same codes. `longhaul explain CODE` explains \
         most of them in detail.\n\n| code | status | meaning |\n| --- | --- | --- |\n",
    );
    for (code, statuses) in codes {
        let statuses = statuses.into_iter().collect::<Vec<_>>().join(", ");
        let meaning = meaning(&code, &explanations);
        let _ = writeln!(table, "| `{code}` | {statuses} | {} |", meaning.replace('|', "\\|"));
    }
    table
}

/// Returns the first sentence of an error code's explanation.
fn meaning(code: &str, explanations: &str) -> String {
    let quoted = format!("\"{code}\", \"");
    let explained = explanations.split_once(&quoted).map(|(_, rest)| {
        let end = rest.match_indices('"').find(|(at, _)| !rest[..*at].ends_with('\\')).unwrap().0;
        let text = rest[..end].replace("\\n", " ").replace("\\\"", "\"");
        text.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
    });
    let known = HTTP_CODES.iter().find(|(known, _)| *known == code);
    let meaning = explained.or_else(|| known.map(|(_, meaning)| (*meaning).to_owned()));
    assert!(meaning.is_some(), "{code} is explained neither by `longhaul explain` nor here");
    meaning.unwrap()
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns all Rust files below a directory.
fn sources(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.into_iter()
}
