//! Paths of HTTP requests to the manager.

use std::fmt::Write;

/// Path of an HTTP request with its query. All inserted values are percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath {
    text: String,
    has_query: bool,
}

impl RequestPath {
    /// Returns the request path of the process list.
    pub fn processes() -> Self {
        Self::of("/v1/processes")
    }

    /// Returns the request path of one process.
    pub fn process(reference: &str) -> Self {
        Self::processes().below(reference)
    }

    /// Returns the request path of a resource below one process, such as its output or an action on it.
    pub fn process_part(reference: &str, part: &str) -> Self {
        let mut path = Self::process(reference);
        path.text.push('/');
        path.text.push_str(part);
        path
    }

    /// Returns the request path of the content of an artifact.
    pub fn artifact(reference: &str, file: &str) -> Self {
        file.split('/').fold(Self::process_part(reference, "artifacts"), Self::below)
    }

    /// Returns the request path of the long poll that waits for changes of processes.
    pub fn wait() -> Self {
        Self::of("/v1/wait")
    }

    /// Returns the request path of the event stream.
    pub fn events() -> Self {
        Self::of("/v1/events")
    }

    /// Returns the request path of a session's completions.
    pub fn notices(session: &str) -> Self {
        let mut path = Self::of("/v1/sessions").below(session);
        path.text.push_str("/completions");
        path
    }

    /// Returns the request path of the queue list.
    pub fn queues() -> Self {
        Self::of("/v1/queues")
    }

    /// Returns the request path of one queue.
    pub fn queue(key: &str) -> Self {
        Self::queues().below(key)
    }

    /// Returns the request path of the node list.
    pub fn nodes() -> Self {
        Self::of("/v1/nodes")
    }

    /// Returns the request path of one node.
    pub fn node(id: &str) -> Self {
        Self::nodes().below(id)
    }

    /// Returns the request path of an action on one node.
    pub fn node_part(id: &str, part: &str) -> Self {
        let mut path = Self::node(id);
        path.text.push('/');
        path.text.push_str(part);
        path
    }

    /// Returns the request path of the session list.
    pub fn sessions() -> Self {
        Self::of("/v1/sessions")
    }

    /// Returns the request path of the action that ends a session.
    pub fn session_end(session: &str) -> Self {
        let mut path = Self::sessions().below(session);
        path.text.push_str("/end");
        path
    }

    /// Returns the request path of the action that cancels all processes on one level.
    pub fn cancel_level() -> Self {
        Self::of("/v1/cancel")
    }

    /// Returns the request path of the process statistics.
    pub fn stats() -> Self {
        Self::of("/v1/stats")
    }

    /// Returns the request path of the action that deletes ended processes and their output.
    pub fn prune() -> Self {
        Self::of("/v1/prune")
    }

    /// Returns the request path of the action that deletes all records.
    pub fn clear() -> Self {
        Self::of("/v1/reset")
    }

    /// Returns the request path of the action that runs interrupted processes again.
    pub fn restart_interrupted() -> Self {
        Self::of("/v1/restart-interrupted")
    }

    /// Returns the request path of the manager's version.
    pub fn version() -> Self {
        Self::of("/v1/version")
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        escape(value, &mut self.text);
        self
    }

    /// Adds a parameter to the query if `value` is not `None`.
    #[must_use]
    pub fn with_some<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, &value.to_string()),
            None => self,
        }
    }

    /// Returns the path and the query as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn below(mut self, name: &str) -> Self {
        self.text.push('/');
        escape(name, &mut self.text);
        self
    }

    fn of(text: &str) -> Self {
        Self { text: text.to_owned(), has_query: false }
    }
}

fn escape(value: &str, text: &mut String) {
    // Encode dots, because a server may interpret a path segment `.` or `..` as a step in the directory tree.
    let dots = matches!(value, "." | "..");
    for byte in value.bytes() {
        match byte {
            b'.' if dots => text.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            byte => {
                let _infallible = write!(text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_values_are_escaped() {
        assert_eq!(RequestPath::process("@last").as_str(), "/v1/processes/%40last");
        assert_eq!(RequestPath::process_part("../x y", "cancel").as_str(), "/v1/processes/..%2Fx%20y/cancel");
        assert_eq!(RequestPath::queue("claude/opus*").as_str(), "/v1/queues/claude%2Fopus%2A");
        assert_eq!(RequestPath::session_end("a b").as_str(), "/v1/sessions/a%20b/end");
        assert_eq!(
            RequestPath::artifact("x", "a b/../ü").as_str(),
            "/v1/processes/x/artifacts/a%20b/%2E%2E/%C3%BC"
        );
        assert_eq!(RequestPath::process("..").as_str(), "/v1/processes/%2E%2E");
        assert_eq!(
            RequestPath::processes()
                .with("project", "a&b=ü")
                .with_some("limit", Some(5))
                .with_some("key", None::<&str>)
                .as_str(),
            "/v1/processes?project=a%26b%3D%C3%BC&limit=5"
        );
    }
}
