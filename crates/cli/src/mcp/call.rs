//! Classifies the requests of an MCP client: the class decides how a request is treated after the manager has
//! restarted.

use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Names of the tools that only read. Every other tool may change a process or a record.
const READ_ONLY_TOOLS: &[&str] = &[
    "get_background_process_status",
    "get_process_status",
    "list_background_processes",
    "read_process_output",
    "search_process_output",
    "wait_for_process",
];
/// MCP methods that only read, or that have the same effect when they are called again.
const ASKS: &[&str] = &[
    "ping",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "tasks/get",
    "tools/list",
];
/// Name of the tool that starts a process. A call with a launch key is safe to repeat.
const START: &str = "start_background_process";
/// Argument of `start_background_process` that contains the launch key.
pub(super) const KEY: &str = "launch_key";

/// Kind of a request. The kind decides whether the proxy repeats the request after a restart of the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolCall {
    /// `initialize`, the first request of the client. The proxy repeats it until a manager answers.
    Introduces,
    /// A request that is safe to repeat, because the repetition has no further effect.
    Repeatable,
    /// A request that starts a process, to which the proxy adds a unique launch key. Because of the key, repeating the
    /// request starts no second process.
    Launches,
    /// A subscription to the resource with this URI. The proxy restores it after a restart of the manager.
    Subscribes(String),
    /// `subscriptions/listen`: a request that stays open as long as the client listens. Only the client may repeat it.
    /// If the proxy repeated it, the client would not notice that it missed notifications, and would not query the
    /// missed changes.
    Listens,
    /// A request that may have changed a process or a record.
    Writes,
    /// A request that the proxy itself sends and that the client does not expect.
    Own,
    /// A request that the proxy itself sends to restore the subscription to the resource with this URI.
    Resubscribes(String),
}

impl ToolCall {
    /// Returns the kind of a client's request.
    pub(super) fn of(method: &str, message: &Value) -> Self {
        match method {
            "initialize" => Self::Introduces,
            "resources/subscribe" => uri(message).map_or(Self::Repeatable, Self::Subscribes),
            "subscriptions/listen" => Self::Listens,
            "tools/call" => Self::of_tool(message),
            _ if ASKS.contains(&method) => Self::Repeatable,
            _ => Self::Writes,
        }
    }

    fn of_tool(message: &Value) -> Self {
        let name = message.pointer("/params/name").and_then(Value::as_str).unwrap_or_default();
        if READ_ONLY_TOOLS.contains(&name) {
            return Self::Repeatable;
        }
        match message.pointer("/params/arguments").and_then(Value::as_object) {
            Some(arguments) if name == START => match arguments.get(KEY) {
                None | Some(Value::Null) => Self::Launches,
                Some(_) => Self::Repeatable,
            },
            _ => Self::Writes,
        }
    }

    /// Returns true if the request may be sent again to another manager.
    pub(super) const fn is_repeatable(&self) -> bool {
        match self {
            Self::Introduces | Self::Repeatable | Self::Launches | Self::Subscribes(_) => true,
            Self::Listens | Self::Writes | Self::Own | Self::Resubscribes(_) => false,
        }
    }

    /// Returns true if the client is waiting for the response.
    pub(super) const fn is_of_client(&self) -> bool {
        match self {
            Self::Introduces
            | Self::Repeatable
            | Self::Launches
            | Self::Subscribes(_)
            | Self::Listens
            | Self::Writes => true,
            Self::Own | Self::Resubscribes(_) => false,
        }
    }

    /// Returns true if a repetition by the client itself may make the effect occur twice.
    pub(super) const fn is_done_once(&self) -> bool {
        match self {
            // If the client repeats a start, the proxy adds a different launch key, so a second process starts.
            Self::Launches | Self::Writes => true,
            Self::Introduces
            | Self::Repeatable
            | Self::Subscribes(_)
            | Self::Listens
            | Self::Own
            | Self::Resubscribes(_) => false,
        }
    }
}

/// Returns the resource URI that a message contains.
pub(super) fn uri(message: &Value) -> Option<String> {
    message.pointer("/params/uri").and_then(Value::as_str).map(str::to_owned)
}

/// Generator of unique launch keys.
#[derive(Debug, Default)]
pub(super) struct CallKeys {
    random: RandomState,
    made: u64,
}

impl CallKeys {
    /// Adds a new launch key to the arguments of the tool call.
    pub(super) fn add_launch_key(&mut self, message: &mut Value) {
        if let Some(Value::Object(arguments)) = message.pointer_mut("/params/arguments") {
            arguments.insert(KEY.to_owned(), self.next().into());
        }
    }

    fn next(&mut self) -> String {
        self.made += 1;
        let [high, low] = [0, 1].map(|half: u8| self.random.hash_one((self.made, half)));
        format!("mcp-{high:016x}{low:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, arguments: &Value) -> ToolCall {
        ToolCall::of("tools/call", &json!({ "params": { "name": name, "arguments": arguments } }))
    }

    #[test]
    fn call_that_may_have_changed_something_is_never_put_again() {
        for name in
            ["restart_process", "send_process_input", "report_progress", "complete_process", "unknown"]
        {
            assert_eq!(tool(name, &json!({})), ToolCall::Writes, "{name}");
        }
        assert_eq!(ToolCall::of("tasks/cancel", &json!({})), ToolCall::Writes);
        assert_eq!(ToolCall::of("something/else", &json!({})), ToolCall::Writes);
        assert_eq!(tool(START, &json!("no object")), ToolCall::Writes);
        assert!(!ToolCall::Writes.is_repeatable() && ToolCall::Writes.is_done_once());
    }

    #[test]
    fn call_that_only_looks_may_be_put_again() {
        for name in READ_ONLY_TOOLS {
            assert_eq!(tool(name, &json!({})), ToolCall::Repeatable, "{name}");
        }
        assert_eq!(ToolCall::of("tasks/get", &json!({})), ToolCall::Repeatable);
    }

    #[test]
    fn start_gets_a_key_of_its_own_unless_its_caller_gave_one() {
        assert_eq!(tool(START, &json!({ "launch_key": "k" })), ToolCall::Repeatable);
        assert_eq!(tool(START, &json!({ "launch_key": null })), ToolCall::Launches);
        let mut keys = CallKeys::default();
        let mut given = || {
            let mut message = json!({ "params": { "name": START, "arguments": { "name": "n" } } });
            keys.add_launch_key(&mut message);
            assert_eq!(message["params"]["arguments"]["name"], "n");
            message["params"]["arguments"][KEY].as_str().unwrap().to_owned()
        };
        let (one, two) = (given(), given());
        assert!(one.starts_with("mcp-") && one.len() == 36, "{one}");
        assert_ne!(one, two);
        assert_ne!(CallKeys::default().next(), one);
    }
}
