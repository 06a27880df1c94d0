//! Tests that insert entries into JSON text with different layouts.

use super::super::desired::MergeRule;
use super::*;
use serde_json::json;

fn desired() -> DesiredEntry {
    let member = |key, value, rule| EntryMember { key, value, rule };
    DesiredEntry(vec![
        member("type", json!("stdio"), MergeRule::Kind),
        member("command", json!("/bin/longhaul"), MergeRule::Ours),
        member("args", json!(["mcp", "--read-only"]), MergeRule::Ours),
        member("enabled", json!(true), MergeRule::Offered),
    ])
}

fn put(text: &str) -> Result<String, EditError> {
    with_entry(text, "mcpServers", "longhaul", &desired()).map(|edited| edited.text)
}

#[test]
fn entry_is_put_into_a_file_of_any_layout_and_the_second_time_nothing_changes() {
    for text in [
        "",
        "{}",
        "{ }\n",
        "{\n}\n",
        "{\r\n}\r\n",
        "\u{feff}{}",
        "\u{feff}",
        "{\"a\": 1}",
        "{\n  \"a\": [1, {\"mcpServers\": {}}],\n  \"b\": \"}\\\"{\"\n}\n",
        "{\n\t\"mcpServers\": {\n\t\t\"other\": {\n\t\t\t\"command\": \"x\"\n\t\t}\n\t},\n\t\"z\": null\n}",
        "{\"mcpServers\":{}}",
        "{\"mcpServers\": {\"longhaul\": 7, \"z\": []}, \"y\": {}}",
        "{\"mcpServers\":{\"longhaul\":{}}}",
        "{\"mcpServers\":{\"longhaul\":{\"command\":\"a\",\"command\":\"b\"}}}",
    ] {
        let after = put(text).unwrap_or_else(|stuck| panic!("{text}: {stuck}"));
        let found: Value = serde_json::from_str(without_mark(&after).1).unwrap();
        let entry = &found["mcpServers"]["longhaul"];
        assert_eq!(entry["command"], json!("/bin/longhaul"), "{after}");
        assert_eq!(entry["args"], json!(["mcp", "--read-only"]), "{after}");
        assert_eq!(put(&after).as_deref(), Ok(after.as_str()));
    }
}

#[test]
fn layout_of_the_file_is_kept() {
    let text = "{\n\t\"z\": 1,\n\t\"mcpServers\": {\n\t\t\"b\": {}\n\t},\n\t\"a\":   2\n}\n";
    assert_eq!(
        put(text).unwrap(),
        "{\n\t\"z\": 1,\n\t\"mcpServers\": {\n\t\t\"b\": {},\n\t\t\"longhaul\": {\n\t\t\t\"type\": \"stdio\",\n\
         \t\t\t\"command\": \"/bin/longhaul\",\n\t\t\t\"args\": [\"mcp\", \"--read-only\"],\n\
         \t\t\t\"enabled\": true\n\t\t}\n\t},\n\t\"a\":   2\n}\n"
    );
}

#[test]
fn settings_of_the_user_in_the_entry_are_kept() {
    let text = r#"{
  "mcpServers": {
    "longhaul": {
      "env": {"A":  "1"},
      "args": [
        "mcp"
      ],
      "disabled": true,
      "command": "/old/longhaul",
      "timeout": 1e4
    },
    "z": 1
  }
}
"#;
    let after = text
        .replace("[\n        \"mcp\"\n      ]", "[\"mcp\", \"--read-only\"]")
        .replace("/old/longhaul", "/bin/longhaul")
        .replace("1e4\n", "1e4,\n      \"type\": \"stdio\",\n      \"enabled\": true\n");
    let edited = with_entry(text, "mcpServers", "longhaul", &desired()).unwrap();
    assert_eq!(edited, EditedConfig { text: after, is_off: true });
}

#[test]
fn entry_on_one_line_stays_on_it() {
    let text = "{\"mcpServers\": {\"longhaul\": {\"command\": \"x\", \"enabled\": false}}}";
    assert_eq!(
        put(text).unwrap(),
        "{\"mcpServers\": {\"longhaul\": {\"command\": \"/bin/longhaul\", \"enabled\": false, \"type\": \"stdio\", \
         \"args\": [\"mcp\", \"--read-only\"]}}}"
    );
}

#[test]
fn equivalent_entry_stays_unchanged() {
    let text = "{\"mcpServers\": {\"longhaul\": {\"type\": \"stdio\", \"command\": \"\\u002fbin/longhaul\",\n\
                \"args\": [ \"mcp\" , \"--read-only\" ], \"enabled\": false}}}";
    assert_eq!(put(text).as_deref(), Ok(text));
}

#[test]
fn line_ends_and_the_mark_at_the_begin_stay() {
    for text in [
        "\u{feff}{\r\n  \"a\": 1\r\n}\r\n",
        "{\r\n  \"mcpServers\": {\r\n    \"longhaul\": {\r\n      \"env\": {}\r\n    }\r\n  }\r\n}\r\n",
    ] {
        let after = put(text).unwrap();
        assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
        assert_eq!(after.starts_with('\u{feff}'), text.starts_with('\u{feff}'));
    }
}

#[test]
fn entry_of_another_kind_is_not_ours_to_change() {
    for (text, key) in [
        (r#"{"mcpServers": {"longhaul": {"url": "http://127.0.0.1:7077/mcp"}}}"#, "url"),
        (r#"{"mcpServers": {"longhaul": {"type": "http", "command": "x"}}}"#, "type"),
    ] {
        assert_eq!(put(text), Err(EditError::Elsewhere { key }));
    }
}

#[test]
fn text_that_is_not_a_plain_json_object_is_left_unchanged() {
    for text in ["// mine\n{}", "{\"a\": 1,}", "{/* mine */}", "nonsense", "{", "{} {}"] {
        assert!(matches!(put(text), Err(EditError::Json { .. })), "{text}");
    }
    for text in ["[]", "{\"mcpServers\": []}", "{\"mcpServers\": null}"] {
        assert!(matches!(put(text), Err(EditError::Shape { .. })), "{text}");
    }
}
