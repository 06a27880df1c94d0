//! State of an MCP session. The proxy uses it to continue the session with another manager.

use crate::mcp::call::{CallKeys, KEY, ToolCall, uri};
use crate::mcp::envelope::{MessageEnvelope, key};
use crate::mcp::lines::MAX_LINE_LEN;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Error message for a request whose response was lost because the manager ended.
const LOST: &str = "the manager was restarted, try again";
/// Text that is added to the error message if the lost request may have changed a process or a record.
const OUTCOME_UNKNOWN_HELP: &str = "the call may have been executed: check before you repeat it";
/// Maximum age of a read request that the proxy repeats. After this time the client has probably stopped waiting.
const MAX_RESEND_AGE: Duration = Duration::from_secs(5);
/// Number of managers that may end while a read request is open. After that the proxy no longer repeats the request,
/// because the request itself may be what makes the managers end.
const MAX_READ_ATTEMPTS: u32 = 2;
/// Number of managers that may end while a start or subscription request is open. After that the proxy no longer
/// repeats the request. The limit is higher than for reads, because the client cannot simply repeat a start.
const STARTS: u32 = 4;
/// JSON-RPC error code that the proxy uses for its own errors.
const CODE: i64 = -32_000;
/// JSON-RPC error code of an invalid request.
const INVALID: i64 = -32_600;
/// Prefix of the ids of requests that the proxy itself sends.
const RESENT_ID_PREFIX: &str = "longhaul-again-";

/// State of an MCP session that another manager needs to continue the session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The client's `initialize` request. Set as soon as a manager has accepted it.
    initialize: Option<Value>,
    /// The client's `notifications/initialized` line.
    initialized: Option<Vec<u8>>,
    /// Open requests. The key is the request id as JSON text.
    open: BTreeMap<String, OpenCall>,
    /// URIs of the resources that the client subscribes to.
    subscribed: BTreeSet<String>,
    keys: CallKeys,
    repeats: u64,
    asked: u64,
}

/// Request that has not been answered yet.
#[derive(Debug)]
struct OpenCall {
    call: ToolCall,
    /// Line that contained the request. Empty if the request is never repeated.
    line: Vec<u8>,
    /// Sequence number of the request. The proxy repeats requests in the order of these numbers.
    order: u64,
    since: Instant,
    /// Number of managers that ended while this request was open. Managers that never sent a message do not count.
    ended: u32,
    /// True if the request was sent to a manager that has since ended.
    may_be_done: bool,
}

/// Line from the client that is to be sent to the manager.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientLine {
    /// Line to send to the manager.
    pub(super) line: Vec<u8>,
    /// Id of the request that the line contains, as JSON text; `None` if the line is not a request.
    pub(super) id: Option<String>,
}

/// Action of the proxy for a line from the manager.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerLineAction {
    /// Forward the line to the client.
    Pass,
    /// Drop the line, because it answers a request that the proxy itself sent.
    Hide,
    /// Send this line to the client instead of the received line.
    Instead(Vec<u8>),
}

impl Session {
    /// Records a line from the client and returns the line to send to the manager. A launch key is added to a request
    /// that starts a process.
    pub(super) fn client_line(&mut self, line: Vec<u8>) -> ClientLine {
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            return ClientLine { line, id: None };
        };
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            return ClientLine { line, id: None };
        };
        match method {
            "notifications/initialized" => self.initialized = Some(line.clone()),
            "notifications/cancelled" => self.cancelled(&message),
            "resources/unsubscribe" => {
                if let Some(uri) = uri(&message) {
                    self.subscribed.remove(&uri);
                }
            }
            _ => {}
        }
        let Some(id) = message.get("id").and_then(key) else { return ClientLine { line, id: None } };
        let call = ToolCall::of(method, &message);
        let line = self.opened(&id, call, message, line);
        ClientLine { line, id: Some(id) }
    }

    /// Records a line from the manager and returns what to do with it.
    pub(super) fn server_line(&mut self, line: &[u8]) -> ServerLineAction {
        if self.open.is_empty() {
            return ServerLineAction::Pass;
        }
        let Ok(message) = serde_json::from_slice::<MessageEnvelope>(line) else {
            return ServerLineAction::Pass;
        };
        let Some(id) = message.response_id() else { return ServerLineAction::Pass };
        let open = self.open.remove(&id);
        match open.map(|open| (open.call, open.line)) {
            Some((ToolCall::Own, _)) => ServerLineAction::Hide,
            Some((ToolCall::Resubscribes(uri), _)) if self.subscribed.contains(&uri) => {
                ServerLineAction::Instead(updated(&uri))
            }
            Some((ToolCall::Resubscribes(_), _)) => ServerLineAction::Hide,
            Some((ToolCall::Introduces, line)) => {
                if message.error.is_none() {
                    self.initialize = serde_json::from_slice(&line).ok();
                    self.initialized = None;
                }
                ServerLineAction::Pass
            }
            Some((ToolCall::Subscribes(uri), _)) => {
                if message.error.is_some() {
                    self.subscribed.remove(&uri);
                }
                ServerLineAction::Pass
            }
            Some((ToolCall::Repeatable | ToolCall::Launches | ToolCall::Listens | ToolCall::Writes, _))
            | None => ServerLineAction::Pass,
        }
    }

    /// Returns the error response for the client if the manager's response exceeds the maximum line length. Returns
    /// `None` if the first bytes of that response do not contain the id of an open request.
    pub(super) fn oversized_response(&mut self, begin: &[u8]) -> Option<Vec<u8>> {
        let id = MessageEnvelope::of_begin(begin).response_id()?;
        let open = self.open.remove(&id).filter(|open| open.call.is_of_client())?;
        if let ToolCall::Subscribes(uri) = &open.call {
            self.subscribed.remove(uri);
        }
        let why = format!("dropped a reply of more than {MAX_LINE_LEN} bytes");
        Some(refusal(&id, CODE, &why, &json!({ "type": "answer_too_large", "retryable": false })))
    }

    /// Returns true if the client is waiting for a response.
    pub(super) fn is_waiting(&self) -> bool {
        self.open.values().any(|open| open.call.is_of_client())
    }

    /// Returns true if at least one open request would be repeated to another manager.
    pub(super) fn repeats_any(&self) -> bool {
        self.open.values().any(|open| open.call.is_repeatable())
    }

    /// Returns true if the client is initialized and subscribes to a resource.
    pub(super) fn listens(&self) -> bool {
        self.initialized.is_some() && !self.subscribed.is_empty()
    }

    /// Records the loss of a manager. Returns error responses to the open requests that are not repeated. `unsent` are
    /// the ids of requests that were never sent to the lost manager. `has_spoken` is true if the lost manager sent any
    /// message.
    pub(super) fn manager_lost(&mut self, unsent: &[String], has_spoken: bool) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        for (id, mut open) in std::mem::take(&mut self.open) {
            open.may_be_done |= !unsent.contains(&id);
            open.ended += u32::from(has_spoken);
            if open.is_repeated() {
                self.open.insert(id, open);
            } else if open.call.is_of_client() {
                answers.push(self.lost_response(&id, &open, LOST, "connection_broken"));
            }
        }
        answers
    }

    /// Returns error responses to all open requests, because no other manager is available.
    pub(super) fn refuse_all(&mut self, why: &str, slug: &str) -> Vec<Vec<u8>> {
        let open = std::mem::take(&mut self.open).into_iter();
        let open = open.filter(|(_, open)| open.call.is_of_client());
        open.map(|(id, open)| self.lost_response(&id, &open, why, slug)).collect()
    }

    /// Returns the first lines to send to another manager: the `initialize` request, the subscriptions and the requests
    /// to repeat.
    pub(super) fn replay(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let is_beginning = self.open.values().any(|open| open.call == ToolCall::Introduces);
        if let Some(mut initialize) = self.initialize.clone().filter(|_| !is_beginning) {
            if let Some(id) = initialize.get_mut("id") {
                *id = self.repeated(ToolCall::Own);
            }
            lines.push(line(&initialize));
        }
        if let Some(initialized) = self.initialized.clone() {
            lines.push(initialized);
            for uri in self.known_subscriptions() {
                let id = self.repeated(ToolCall::Resubscribes(uri.clone()));
                let params = json!({ "uri": uri });
                lines.push(line(
                    &json!({ "jsonrpc": "2.0", "id": id, "method": "resources/subscribe", "params": params }),
                ));
            }
        }
        let mut open: Vec<&OpenCall> = self.open.values().filter(|open| !open.line.is_empty()).collect();
        open.sort_by_key(|open| open.order);
        lines.extend(open.into_iter().map(|open| open.line.clone()));
        lines
    }

    /// Returns the error response to a line that could not be sent to a manager. Returns `None` if the line is not a
    /// request.
    pub(super) fn refused(&mut self, line: &[u8], why: &str, slug: &str) -> Option<Vec<u8>> {
        let message: MessageEnvelope = serde_json::from_slice(line).ok()?;
        let id = message.id.filter(|_| message.method.is_some())?;
        if let Some(OpenCall { call: ToolCall::Subscribes(uri), .. }) =
            key(&id).and_then(|id| self.open.remove(&id))
        {
            self.subscribed.remove(&uri);
        }
        Some(refusal(&id.to_string(), CODE, why, &json!({ "type": slug, "retryable": true })))
    }

    /// Removes a request that the client has cancelled, so that it is not repeated.
    fn cancelled(&mut self, message: &Value) {
        let Some(id) = message.pointer("/params/requestId").and_then(key) else { return };
        if self.open.get(&id).is_some_and(|open| open.call != ToolCall::Introduces) {
            self.open.remove(&id);
        }
    }

    /// Records a new request and returns the line that is to be sent to the manager for it.
    fn opened(&mut self, id: &str, call: ToolCall, mut message: Value, mut said: Vec<u8>) -> Vec<u8> {
        let mut kept = Vec::new();
        match &call {
            ToolCall::Launches => {
                self.keys.add_launch_key(&mut message);
                said = line(&message);
                kept.clone_from(&said);
            }
            ToolCall::Subscribes(uri) => {
                self.subscribed.insert(uri.clone());
                kept.clone_from(&said);
            }
            ToolCall::Introduces | ToolCall::Repeatable => kept.clone_from(&said),
            ToolCall::Listens | ToolCall::Writes | ToolCall::Own | ToolCall::Resubscribes(_) => {}
        }
        self.open(id.to_owned(), call, kept);
        said
    }

    fn open(&mut self, id: String, call: ToolCall, line: Vec<u8>) {
        self.asked += 1;
        let (order, since) = (self.asked, Instant::now());
        self.open.insert(id, OpenCall { call, line, order, since, ended: 0, may_be_done: false });
    }

    fn repeated(&mut self, call: ToolCall) -> Value {
        self.repeats += 1;
        let id = Value::String(format!("{RESENT_ID_PREFIX}{}", self.repeats));
        self.open(id.to_string(), call, Vec::new());
        id
    }

    /// Returns the subscribed resources, except those for which a request of the client is still open.
    fn known_subscriptions(&self) -> Vec<String> {
        let asks = |uri: &String| {
            self.open.values().any(|open| matches!(&open.call, ToolCall::Subscribes(asked) if asked == uri))
        };
        self.subscribed.iter().filter(|uri| !asks(uri)).cloned().collect()
    }

    /// Returns the error response to a request that no manager will answer.
    fn lost_response(&mut self, id: &str, open: &OpenCall, why: &str, slug: &str) -> Vec<u8> {
        if let ToolCall::Subscribes(uri) = &open.call {
            self.subscribed.remove(uri);
        }
        if !(open.may_be_done && open.call.is_done_once()) {
            return refusal(id, CODE, why, &json!({ "type": slug, "retryable": true }));
        }
        let why = if why == LOST { "the manager was restarted" } else { why };
        match open.launch_key() {
            Some(key) => {
                let why =
                    format!("{why}; the process may have been started: try again with launch_key {key}");
                refusal(id, CODE, &why, &json!({ "type": slug, "retryable": false, "launch_key": key }))
            }
            None => {
                let why = format!("{why}; {OUTCOME_UNKNOWN_HELP}");
                refusal(id, CODE, &why, &json!({ "type": slug, "retryable": false }))
            }
        }
    }
}

impl OpenCall {
    /// Returns true if the request will be repeated to the next manager.
    fn is_repeated(&self) -> bool {
        match &self.call {
            ToolCall::Introduces => true,
            ToolCall::Launches | ToolCall::Subscribes(_) => self.ended < STARTS,
            ToolCall::Repeatable => self.ended < MAX_READ_ATTEMPTS && self.since.elapsed() < MAX_RESEND_AGE,
            ToolCall::Listens | ToolCall::Writes | ToolCall::Own | ToolCall::Resubscribes(_) => false,
        }
    }

    /// Returns the launch key that the proxy added to this request. Returns `None` if the proxy added none.
    fn launch_key(&self) -> Option<String> {
        let message: Value =
            serde_json::from_slice(&self.line).ok().filter(|_| self.call == ToolCall::Launches)?;
        Some(message.pointer("/params/arguments")?.get(KEY)?.as_str()?.to_owned())
    }
}

/// Returns the error response to a line from the client that was too long to be read. The response contains the request
/// id from the first bytes of the line, or null if those bytes do not contain the id.
pub(super) fn unreadable(begin: &[u8], why: &str) -> Vec<u8> {
    let id = MessageEnvelope::of_begin(begin).request_id().unwrap_or_else(|| "null".to_owned());
    refusal(&id, INVALID, why, &json!({ "type": "payload_too_large", "retryable": false }))
}

fn refusal(id: &str, code: i64, why: &str, data: &Value) -> Vec<u8> {
    let error = json!({ "code": code, "message": why, "data": data });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n").into_bytes()
}

/// Returns a notification for the client: the resource may have changed while its subscription was interrupted.
fn updated(uri: &str) -> Vec<u8> {
    let method = "notifications/resources/updated";
    line(&json!({ "jsonrpc": "2.0", "method": method, "params": { "uri": uri } }))
}

fn line(message: &Value) -> Vec<u8> {
    format!("{message}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[u8]) -> Value {
        serde_json::from_slice(line).unwrap()
    }

    fn introduced() -> Session {
        let mut session = Session::default();
        session.client_line(
            br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#
                .to_vec(),
        );
        assert_eq!(session.server_line(br#"{"jsonrpc":"2.0","id":0,"result":{}}"#), ServerLineAction::Pass);
        session.client_line(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec());
        session
    }

    #[test]
    fn next_manager_gets_the_handshake_without_the_client_noticing() {
        let mut session = introduced();
        let lines = session.replay();
        let again = parsed(&lines[0]);
        assert_eq!(again["method"], "initialize");
        assert_eq!(again["params"]["protocolVersion"], "2025-11-25");
        assert_ne!(again["id"], 0);
        assert_eq!(parsed(&lines[1])["method"], "notifications/initialized");
        assert_eq!(lines.len(), 2);
        let answer = json!({ "jsonrpc": "2.0", "id": again["id"], "result": {} }).to_string();
        assert_eq!(session.server_line(answer.as_bytes()), ServerLineAction::Hide);
        assert_eq!(session.server_line(answer.as_bytes()), ServerLineAction::Pass, "only once");
    }

    #[test]
    fn introduction_that_was_cut_off_is_put_again_as_it_was() {
        let mut session = Session::default();
        session.client_line(br#"{"jsonrpc":"2.0","id":"a","method":"initialize"}"#.to_vec());
        assert!(session.manager_lost(&[], false).is_empty() && session.repeats_any());
        let lines = session.replay();
        assert_eq!(lines.len(), 1);
        assert_eq!(parsed(&lines[0])["id"], "a");
        assert_eq!(session.server_line(br#"{"jsonrpc":"2.0","id":"a","result":{}}"#), ServerLineAction::Pass);
    }

    fn tool(id: i64, name: &str) -> Vec<u8> {
        line(&json!({ "id": id, "method": "tools/call", "params": { "name": name, "arguments": {} } }))
    }

    #[test]
    fn writing_call_in_flight_is_answered_and_never_asked_for_again() {
        let mut session = introduced();
        session.client_line(tool(7, "send_process_input"));
        session.client_line(tool(8, "restart_process"));
        assert_eq!(session.server_line(br#"{"jsonrpc":"2.0","id":7,"result":{}}"#), ServerLineAction::Pass);
        let lost = session.manager_lost(&[], true);
        assert_eq!(lost.len(), 1);
        let answer = parsed(&lost[0]);
        assert_eq!(answer["id"], 8);
        assert_eq!(
            answer["error"]["message"],
            "the manager was restarted; the call may have been executed: check before you repeat it"
        );
        assert_eq!(answer["error"]["data"]["retryable"], false);
        assert!(!session.is_waiting() && !session.repeats_any());
    }

    #[test]
    fn writing_call_that_never_left_may_be_asked_for_again() {
        let mut session = introduced();
        let said = session.client_line(tool(7, "send_process_input"));
        let lost = session.manager_lost(&[said.id.unwrap()], true);
        assert_eq!(parsed(&lost[0])["error"]["data"]["retryable"], true);
    }

    #[test]
    fn start_is_put_again_as_it_was_until_it_seems_to_end_managers() {
        let mut session = introduced();
        let said = session.client_line(tool(7, "start_background_process"));
        let key = parsed(&said.line)["params"]["arguments"]["launch_key"].clone();
        assert!(key.as_str().unwrap().starts_with("mcp-"));
        for _ in 1..STARTS {
            assert!(session.manager_lost(&[], true).is_empty() && session.repeats_any());
            assert_eq!(session.replay().pop(), Some(said.line.clone()));
            // A manager that sent no message has probably not read the request, so the request cannot have made the
            // manager end.
            assert!(session.manager_lost(&[], false).is_empty());
            assert_eq!(session.replay().pop(), Some(said.line.clone()));
        }
        let lost = session.manager_lost(&[], true);
        let error = &parsed(&lost[0])["error"];
        assert_eq!((&error["data"]["retryable"], &error["data"]["launch_key"]), (&json!(false), &key));
        assert!(error["message"].as_str().unwrap().ends_with(key.as_str().unwrap()), "{error}");
    }

    #[test]
    fn start_that_may_have_been_done_is_not_asked_for_again_when_there_is_no_manager() {
        let mut session = introduced();
        session.client_line(tool(7, "start_background_process"));
        session.manager_lost(&[], true);
        let answers = session.refuse_all("no manager answers", "manager_unreachable");
        let error = &parsed(&answers[0])["error"];
        let said = "no manager answers; the process may have been started: try again with launch_key mcp-";
        assert!(error["message"].as_str().unwrap().starts_with(said), "{error}");
        assert_eq!(error["data"]["retryable"], false);
    }

    #[test]
    fn looking_that_ends_two_managers_is_not_put_to_a_third() {
        let mut session = introduced();
        let said = session.client_line(tool(7, "get_process_status"));
        assert!(session.manager_lost(&[], true).is_empty());
        assert_eq!(session.replay().pop(), Some(said.line));
        let lost = session.manager_lost(&[], true);
        assert_eq!(parsed(&lost[0])["error"]["data"]["retryable"], true);
    }

    #[test]
    fn too_long_answer_becomes_an_error_for_its_request() {
        let mut session = introduced();
        session.client_line(tool(7, "read_process_output"));
        assert_eq!(session.oversized_response(b"{\"jsonrpc\":\"2.0\",\"result\":{\"content\":["), None);
        let begin = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[";
        let answer = parsed(&session.oversized_response(begin).unwrap());
        assert_eq!(
            (&answer["id"], &answer["error"]["data"]["type"]),
            (&json!(7), &json!("answer_too_large"))
        );
        assert!(!session.is_waiting());
    }

    #[test]
    fn call_that_no_answer_can_name_is_not_waited_for() {
        let mut session = introduced();
        for id in ["1.5", "null", "true", "[]", "18446744073709551615"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
            assert_eq!(session.client_line(line.into_bytes()).id, None, "{id}");
        }
        assert!(!session.is_waiting());
        session.client_line(br#"{"jsonrpc":"2.0","id":7.0,"method":"tools/list"}"#.to_vec());
        assert_eq!(session.server_line(br#"{"jsonrpc":"2.0","id":7,"result":{}}"#), ServerLineAction::Pass);
        assert!(!session.is_waiting());
    }

    #[test]
    fn refused_handshake_is_not_sent_to_another_manager() {
        let mut session = introduced();
        session.client_line(br#"{"jsonrpc":"2.0","id":9,"method":"initialize","params":{}}"#.to_vec());
        session.server_line(br#"{"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"wrong"}}"#);
        let lines = session.replay();
        assert_eq!(parsed(&lines[0])["params"]["protocolVersion"], "2025-11-25");
        assert_eq!(parsed(&lines[1])["method"], "notifications/initialized");
    }

    #[test]
    fn calls_are_repeated_in_their_order() {
        let mut session = introduced();
        let names = ["wait_for_process", "start_background_process", "get_process_status"];
        let said: Vec<_> = [30, 4, 5]
            .into_iter()
            .zip(names)
            .map(|(id, name)| session.client_line(tool(id, name)).line)
            .collect();
        assert!(session.manager_lost(&[], true).is_empty());
        assert_eq!(session.replay().split_off(2), said);
    }

    #[test]
    fn wait_that_took_long_is_left_to_the_client() {
        let mut session = introduced();
        session.client_line(tool(7, "wait_for_process"));
        let begun = Instant::now().checked_sub(MAX_RESEND_AGE).unwrap();
        session.open.get_mut("7").unwrap().since = begun;
        let lost = session.manager_lost(&[], true);
        let error = &parsed(&lost[0])["error"];
        assert_eq!((&error["message"], &error["data"]["retryable"]), (&json!(LOST), &json!(true)));
    }

    #[test]
    fn cancelled_call_is_not_put_again() {
        let mut session = introduced();
        session.client_line(tool(7, "start_background_process"));
        let cancelled = json!({ "method": "notifications/cancelled", "params": { "requestId": 7 } });
        session.client_line(line(&cancelled));
        assert!(session.manager_lost(&[], true).is_empty() && !session.repeats_any());
    }

    #[test]
    fn renewed_subscription_causes_one_notification() {
        let mut session = introduced();
        let (kept, refused) = ("longhaul://process/a", "longhaul://process/b");
        for uri in [kept, refused] {
            session.client_line(line(
                &json!({ "id": uri, "method": "resources/subscribe", "params": { "uri": uri } }),
            ));
        }
        session.server_line(&line(&json!({ "id": kept, "result": {} })));
        session.server_line(&line(&json!({ "id": refused, "error": {} })));
        assert!(session.manager_lost(&[], true).is_empty() && session.listens() && !session.repeats_any());
        let lines = session.replay();
        assert_eq!(lines.len(), 3);
        let again = parsed(&lines[2]);
        assert_eq!(again["params"]["uri"], kept);
        let answer = line(&json!({ "id": again["id"], "result": {} }));
        assert_eq!(session.server_line(&answer), ServerLineAction::Instead(updated(kept)));
        assert!(session.manager_lost(&[], true).is_empty());
    }

    #[test]
    fn subscriptions_are_made_again_until_they_are_taken_back() {
        let mut session = introduced();
        for uri in ["longhaul://process/a", "longhaul://process/b"] {
            let line = json!({ "id": uri, "method": "resources/subscribe", "params": { "uri": uri } });
            session.client_line(line.to_string().into_bytes());
            session.server_line(json!({ "id": uri, "result": {} }).to_string().as_bytes());
        }
        session.client_line(
            br#"{"id":9,"method":"resources/unsubscribe","params":{"uri":"longhaul://process/a"}}"#.to_vec(),
        );
        session.server_line(br#"{"id":9,"result":{}}"#);
        let lines = session.replay();
        assert_eq!(lines.len(), 3);
        assert_eq!(parsed(&lines[2])["params"]["uri"], "longhaul://process/b");
    }

    #[test]
    fn stateless_client_needs_no_repeated_handshake() {
        let mut session = Session::default();
        session
            .client_line(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{}}}"#.to_vec());
        session.server_line(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert!(session.replay().is_empty());
    }

    #[test]
    fn request_of_the_manager_is_no_answer() {
        let mut session = introduced();
        session.client_line(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#.to_vec());
        assert_eq!(
            session.server_line(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#),
            ServerLineAction::Pass
        );
        assert!(session.is_waiting());
    }

    #[test]
    fn undeliverable_message_is_answered_only_if_it_is_a_request() {
        let mut session = Session::default();
        let request = br#"{"jsonrpc":"2.0","id":3,"method":"tools/call"}"#;
        session.client_line(request.to_vec());
        let answer = session.refused(request, "no manager answers", "manager_unreachable").unwrap();
        assert_eq!(parsed(&answer)["error"]["data"]["type"], "manager_unreachable");
        assert!(!session.is_waiting());
        assert!(session.refused(br#"{"method":"notifications/cancelled"}"#, "", "").is_none());
        assert!(session.refused(br#"{"id":1,"result":{}}"#, "", "").is_none());
    }
}
