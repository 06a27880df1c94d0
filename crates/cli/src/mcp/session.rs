//! What a carrier remembers of the conversation, to go on with another manager.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a client gets for a call that the end of a manager cut off.
const LOST: &str = "the manager was restarted, ask again";
/// The code of errors of ours in the protocol.
const CODE: i64 = -32_000;
/// What ids begin with that are not the client's.
const OWN: &str = "longhaul-again-";

/// What was said, as far as the next manager has to know it.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// How the client introduced itself.
    initialize: Option<Value>,
    /// That it took the answer.
    initialized: Option<Vec<u8>>,
    /// Calls without an answer, by their id as JSON.
    open: BTreeMap<String, Call>,
    /// What it listens to.
    subscribed: BTreeSet<String>,
    repeats: u64,
}

/// A call without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// The introduction itself: it is put again.
    Initialize,
    /// The client waits for it.
    Asked,
    /// It was put again; the client had its answer.
    Repeated,
}

impl Session {
    /// Takes note of a line of the client.
    pub(super) fn said(&mut self, line: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(line) else { return };
        let method = message.get("method").and_then(Value::as_str);
        let uri = message.pointer("/params/uri").and_then(Value::as_str);
        match (method, uri) {
            (Some("notifications/initialized"), _) => self.initialized = Some(line.to_vec()),
            (Some("resources/subscribe"), Some(uri)) => drop(self.subscribed.insert(uri.to_owned())),
            (Some("resources/unsubscribe"), Some(uri)) => drop(self.subscribed.remove(uri)),
            _ => {}
        }
        let (Some(method), Some(id)) = (method, message.get("id")) else { return };
        let is_first = method == "initialize";
        self.open.insert(id.to_string(), if is_first { Call::Initialize } else { Call::Asked });
        if is_first {
            self.initialize = Some(message);
            self.initialized = None;
        }
    }

    /// Takes note of a line of the manager; false if the client must not see it.
    pub(super) fn heard(&mut self, line: &[u8]) -> bool {
        if self.open.is_empty() {
            return true;
        }
        let Ok(message) = serde_json::from_slice::<Head>(line) else { return true };
        let (None, Some(id)) = (message.method, message.id) else { return true };
        self.open.remove(&id.to_string()) != Some(Call::Repeated)
    }

    /// Whether a client waits for an answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.open.values().any(|call| *call != Call::Repeated)
    }

    /// Whether the introduction itself was cut off.
    pub(super) fn is_beginning(&self) -> bool {
        self.open.values().any(|call| *call == Call::Initialize)
    }

    /// The answers to what a manager took with it.
    pub(super) fn lost(&mut self) -> Vec<Vec<u8>> {
        let lost = std::mem::take(&mut self.open);
        let (kept, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
            lost.into_iter().partition(|(_, call)| *call == Call::Initialize);
        self.open = kept;
        let asked = lost.into_iter().filter(|(_, call)| *call == Call::Asked);
        asked.map(|(id, _)| refusal(&id, LOST, "connection_broken")).collect()
    }

    /// The answers to everything that is open when there is no other manager.
    pub(super) fn gave_up(&mut self, why: &str, slug: &str) -> Vec<Vec<u8>> {
        let open = std::mem::take(&mut self.open).into_iter();
        open.filter(|(_, call)| *call != Call::Repeated).map(|(id, _)| refusal(&id, why, slug)).collect()
    }

    /// What has to be told to another manager before anything else.
    pub(super) fn again(&mut self) -> Vec<Vec<u8>> {
        let Some(mut initialize) = self.initialize.clone() else { return Vec::new() };
        if self.is_beginning() {
            return vec![line(&initialize)];
        }
        if let Some(id) = initialize.get_mut("id") {
            *id = self.repeated();
        }
        let mut lines = vec![line(&initialize)];
        let Some(initialized) = self.initialized.clone() else { return lines };
        lines.push(initialized);
        for uri in self.subscribed.clone() {
            let id = self.repeated();
            let params = json!({ "uri": uri });
            lines.push(line(
                &json!({ "jsonrpc": "2.0", "id": id, "method": "resources/subscribe", "params": params }),
            ));
        }
        lines
    }

    /// The answer to a line that could not be carried; none if nobody waits for one.
    pub(super) fn refused(&mut self, line: &[u8], why: &str, slug: &str) -> Option<Vec<u8>> {
        let message: Head = serde_json::from_slice(line).ok()?;
        let id = message.id.filter(|_| message.method.is_some())?.to_string();
        self.open.remove(&id);
        Some(refusal(&id, why, slug))
    }

    fn repeated(&mut self) -> Value {
        self.repeats += 1;
        let id = Value::String(format!("{OWN}{}", self.repeats));
        self.open.insert(id.to_string(), Call::Repeated);
        id
    }
}

/// The answer to a line that nobody could read.
pub(super) fn unreadable(why: &str) -> Vec<u8> {
    refusal("null", why, "payload_too_large")
}

/// As much of a message as tells whose it is.
#[derive(serde::Deserialize)]
struct Head {
    id: Option<Value>,
    method: Option<String>,
}

fn refusal(id: &str, why: &str, slug: &str) -> Vec<u8> {
    let error = json!({ "code": CODE, "message": why, "data": { "type": slug, "retryable": true } });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n").into_bytes()
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
        session.said(
            br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#,
        );
        assert!(session.heard(br#"{"jsonrpc":"2.0","id":0,"result":{}}"#));
        session.said(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        session
    }

    #[test]
    fn next_manager_is_told_who_the_client_is_and_the_client_sees_nothing_of_it() {
        let mut session = introduced();
        let lines = session.again();
        let again = parsed(&lines[0]);
        assert_eq!(again["method"], "initialize");
        assert_eq!(again["params"]["protocolVersion"], "2025-11-25");
        assert_ne!(again["id"], 0);
        assert_eq!(parsed(&lines[1])["method"], "notifications/initialized");
        assert_eq!(lines.len(), 2);
        let answer = json!({ "jsonrpc": "2.0", "id": again["id"], "result": {} }).to_string();
        assert!(!session.heard(answer.as_bytes()));
        assert!(session.heard(answer.as_bytes()), "only once");
    }

    #[test]
    fn introduction_that_was_cut_off_is_put_again_as_it_was() {
        let mut session = Session::default();
        session.said(br#"{"jsonrpc":"2.0","id":"a","method":"initialize"}"#);
        assert!(session.lost().is_empty() && session.is_beginning());
        let lines = session.again();
        assert_eq!(lines.len(), 1);
        assert_eq!(parsed(&lines[0])["id"], "a");
        assert!(session.heard(br#"{"jsonrpc":"2.0","id":"a","result":{}}"#));
    }

    #[test]
    fn call_in_flight_is_answered_when_its_manager_is_gone() {
        let mut session = introduced();
        session.said(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
        session.said(br#"{"jsonrpc":"2.0","id":"x","method":"tools/call"}"#);
        assert!(session.heard(br#"{"jsonrpc":"2.0","id":7,"result":{}}"#));
        let lost = session.lost();
        assert_eq!(lost.len(), 1);
        let answer = parsed(&lost[0]);
        assert_eq!(answer["id"], "x");
        assert_eq!(answer["error"]["message"], LOST);
        assert_eq!(answer["error"]["data"]["retryable"], true);
        assert!(!session.is_waiting());
    }

    #[test]
    fn subscriptions_are_made_again_until_they_are_taken_back() {
        let mut session = introduced();
        for uri in ["longhaul://process/a", "longhaul://process/b"] {
            let line = json!({ "id": uri, "method": "resources/subscribe", "params": { "uri": uri } });
            session.said(line.to_string().as_bytes());
        }
        session.said(br#"{"id":9,"method":"resources/unsubscribe","params":{"uri":"longhaul://process/a"}}"#);
        let lines = session.again();
        assert_eq!(lines.len(), 3);
        assert_eq!(parsed(&lines[2])["params"]["uri"], "longhaul://process/b");
    }

    #[test]
    fn client_of_the_stateless_era_has_nothing_to_be_told_again() {
        let mut session = Session::default();
        session.said(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{}}}"#);
        assert!(session.again().is_empty());
    }

    #[test]
    fn request_of_the_manager_is_no_answer() {
        let mut session = introduced();
        session.said(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
        assert!(session.heard(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#));
        assert!(session.is_waiting());
    }

    #[test]
    fn what_cannot_be_carried_is_answered_only_where_somebody_waits() {
        let mut session = Session::default();
        let request = br#"{"jsonrpc":"2.0","id":3,"method":"tools/call"}"#;
        session.said(request);
        let answer = session.refused(request, "no manager answers", "manager_unreachable").unwrap();
        assert_eq!(parsed(&answer)["error"]["data"]["type"], "manager_unreachable");
        assert!(!session.is_waiting());
        assert!(session.refused(br#"{"method":"notifications/cancelled"}"#, "", "").is_none());
        assert!(session.refused(br#"{"id":1,"result":{}}"#, "", "").is_none());
    }
}
