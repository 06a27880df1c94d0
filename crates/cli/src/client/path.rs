//! Paths of requests.

use std::fmt::Write;

/// The path of a request, with its query; whatever is put into it is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPath {
    text: String,
    has_query: bool,
}

impl RequestPath {
    /// The processes.
    pub(crate) fn processes() -> Self {
        Self::of("/v1/processes")
    }

    /// One process.
    pub(crate) fn process(reference: &str) -> Self {
        Self::processes().below(reference)
    }

    /// Something of one process.
    pub(crate) fn process_part(reference: &str, part: &str) -> Self {
        let mut path = Self::process(reference);
        path.text.push('/');
        path.text.push_str(part);
        path
    }

    /// The long poll.
    pub(crate) fn wait() -> Self {
        Self::of("/v1/wait")
    }

    /// What happens.
    pub(crate) fn events() -> Self {
        Self::of("/v1/events")
    }

    /// What ends of a session.
    pub(crate) fn notices(session: &str) -> Self {
        let mut path = Self::of("/v1/sessions").below(session);
        path.text.push_str("/completions");
        path
    }

    /// The queues.
    pub(crate) fn queues() -> Self {
        Self::of("/v1/queues")
    }

    /// One queue.
    pub(crate) fn queue(key: &str) -> Self {
        Self::queues().below(key)
    }

    /// The nodes.
    pub(crate) fn nodes() -> Self {
        Self::of("/v1/nodes")
    }

    /// One node.
    pub(crate) fn node(id: &str) -> Self {
        Self::nodes().below(id)
    }

    /// Something of one node.
    pub(crate) fn node_part(id: &str, part: &str) -> Self {
        let mut path = Self::node(id);
        path.text.push('/');
        path.text.push_str(part);
        path
    }

    /// The sessions.
    pub(crate) fn sessions() -> Self {
        Self::of("/v1/sessions")
    }

    /// The end of a session.
    pub(crate) fn session_end(session: &str) -> Self {
        let mut path = Self::sessions().below(session);
        path.text.push_str("/end");
        path
    }

    /// The end of a level.
    pub(crate) fn cancel_level() -> Self {
        Self::of("/v1/cancel")
    }

    /// Numbers about processes.
    pub(crate) fn stats() -> Self {
        Self::of("/v1/stats")
    }

    /// What lets ended records go.
    pub(crate) fn prune() -> Self {
        Self::of("/v1/prune")
    }

    /// What lets everything go.
    pub(crate) fn clear() -> Self {
        Self::of("/v1/reset")
    }

    /// What runs interrupted work again.
    pub(crate) fn restart_interrupted() -> Self {
        Self::of("/v1/restart-interrupted")
    }

    /// Who answers.
    pub(crate) fn version() -> Self {
        Self::of("/v1/version")
    }

    /// Adds a term to the query.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        escape(value, &mut self.text);
        self
    }

    /// Adds a term to the query if there is a value.
    #[must_use]
    pub(crate) fn with_some<T: ToString>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.with(name, &value.to_string()),
            None => self,
        }
    }

    /// Gives it as text.
    pub(crate) fn as_str(&self) -> &str {
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
    // A server may take these two for steps in the tree of paths.
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
