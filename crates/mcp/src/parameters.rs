//! Error messages for invalid request parameters.

use crate::tool::Tool;
use crate::truncate::{brief, shortened};
use rmcp::model::{
    CallToolRequestParams, CancelTaskParams, ErrorCode, ErrorData, GetTaskParams, InitializeRequestParams,
    PaginatedRequestParams, ReadResourceRequestParams, SubscribeRequestParams, UnsubscribeRequestParams,
    UpdateTaskParams,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Maximum length of an error message, in bytes. The limit is necessary because a message may repeat part of the
/// request.
const MAX_MESSAGE_LEN: usize = 1_000;

/// Returns the error for invalid parameters of a method. Returns `None` if the method does not exist.
pub(crate) fn wrong(method: &str, params: Option<&Value>) -> Option<ErrorData> {
    let why = match method {
        "initialize" => why::<InitializeRequestParams>(params),
        "tools/call" => why::<CallToolRequestParams>(params),
        "tools/list" | "resources/list" | "resources/templates/list" => why::<PaginatedRequestParams>(params),
        "resources/read" => why::<ReadResourceRequestParams>(params),
        "resources/subscribe" => why::<SubscribeRequestParams>(params),
        "resources/unsubscribe" => why::<UnsubscribeRequestParams>(params),
        "tasks/get" => why::<GetTaskParams>(params),
        "tasks/cancel" => why::<CancelTaskParams>(params),
        "tasks/update" => why::<UpdateTaskParams>(params),
        "ping" | "server/discover" | "subscriptions/listen" => "they have an unexpected structure".to_owned(),
        _ => return None,
    };
    let why = shortened(why, MAX_MESSAGE_LEN);
    Some(ErrorData::invalid_params(format!("the parameters of {method} are not valid: {why}"), None))
}

/// Returns the error for an unknown method.
pub(crate) fn no_method(method: &str) -> ErrorData {
    let name = brief(method);
    let message = match Tool::named(method) {
        Some(_) => format!("there is no method {name:?}: use tools/call to call the tool with this name"),
        None => {
            format!("there is no method {name:?}: tools/list lists the tools, and tools/call calls a tool")
        }
    };
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
}

/// Returns the error for an unknown tool. The error lists the existing tools.
pub(crate) fn no_tool(name: &str) -> ErrorData {
    let known = Tool::ALL.map(Tool::name).join(", ");
    ErrorData::invalid_params(format!("there is no tool {:?}; the tools are {known}", brief(name)), None)
}

/// Deserializes fields. If a field is invalid, the error names it.
pub(crate) fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    let given = fields.clone();
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        let said = error.to_string();
        match culprit::<T>(given, &said) {
            Some(field) => format!("{field}: {said}"),
            None => said,
        }
    })
}

fn why<T: DeserializeOwned>(params: Option<&Value>) -> String {
    match params {
        None => "they are missing".to_owned(),
        Some(Value::Object(fields)) => match read::<T>(fields.clone()) {
            Err(error) => error,
            Ok(_) => "they have an unexpected structure".to_owned(),
        },
        Some(_) => "they must be an object".to_owned(),
    }
}

/// Returns the name of the field that causes the error message `said`. To find the field, each field is deserialized
/// alone and its error is compared with `said`. Returns `None` for missing and unknown fields, because `said` already
/// names them.
fn culprit<T: DeserializeOwned>(fields: Map<String, Value>, said: &str) -> Option<String> {
    if said.starts_with("missing field") || said.starts_with("unknown field") {
        return None;
    }
    fields.into_iter().find_map(|(name, value)| {
        let alone = Map::from_iter([(name.clone(), value)]);
        let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
        (error.to_string() == said).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn error_of_an_unknown_tool_or_method_lists_the_known_ones() {
        let said = no_tool("nosuch").message;
        assert!(said.starts_with("there is no tool \"nosuch\"; the tools are "), "{said}");
        assert!(Tool::ALL.iter().all(|tool| said.contains(tool.name())), "{said}");
        let said = no_method("nosuch").message;
        assert!(said.contains("no method \"nosuch\"") && said.contains("tools/list"), "{said}");
        assert!(no_method("wait_for_process").message.contains("use tools/call to call the tool"));
    }

    #[test]
    fn wrong_parameter_is_named() {
        let said = |method: &str, params: Value| wrong(method, Some(&params)).unwrap().message.to_string();
        assert!(said("tools/call", json!({ "name": 5 })).contains("name: invalid type"));
        assert!(
            said("tools/call", json!({ "name": "x", "arguments": [] })).contains("arguments: invalid type")
        );
        assert!(said("resources/read", json!({})).contains("missing field `uri`"));
        assert!(said("tools/list", json!([])).contains("an object"));
        assert_eq!(wrong("coffee/make", None), None);
    }
}
