use crate::bounded_text::cut;

/// Maximum length of the name of a step, in bytes.
const MAX_STEP_LEN: usize = 80;
/// Maximum length of the id of a conversation, in bytes.
const MAX_SESSION_LEN: usize = 128;

/// Facts that were read from the output of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// Last message of the agent. JSON output whose end is missing contains no last message.
    pub message: Option<String>,
    /// Error in the output of the agent.
    pub error: Option<String>,
    /// Tokens that the agent used.
    pub tokens: Option<AgentTokens>,
    /// Id of the conversation.
    pub session: Option<String>,
    /// Current step of the agent, such as the tool that it uses.
    pub step: Option<String>,
    /// True if the agent reported the end of its work after the last message.
    pub(super) has_ended: bool,
    /// True if the tokens of a turn are unknown, so that the sum of all turns is unknown.
    pub(super) lacks_tokens: bool,
    /// Number of lines that were ignored because they are not JSON in the expected format.
    pub ignored_lines: u64,
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentTokens {
    /// Input tokens, without the tokens that were read from a cache.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached: u64,
}

impl AgentTokens {
    /// Returns the sum of both token counts. Returns `None` if the sum is too large.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            input: self.input.checked_add(other.input)?,
            output: self.output.checked_add(other.output)?,
            cached: self.cached.checked_add(other.cached)?,
        })
    }
}

impl AgentFacts {
    /// Returns the last message as a JSON text of at most `limit` bytes. The end of a longer message is left out.
    #[must_use]
    pub fn message_json(&self, limit: usize) -> Option<String> {
        let mut message = self.message.as_deref()?;
        loop {
            let text = serde_json::Value::from(message).to_string();
            if text.len() <= limit || message.is_empty() {
                return Some(text);
            }
            message = cut(message, message.len() / 2);
        }
    }

    /// Sets a message, which is the last message only if the agent then reports the end of its work.
    pub(super) fn say(&mut self, message: Option<&str>) {
        if let Some(message) = message {
            self.message = Some(message.to_owned());
        }
        self.has_ended = false;
        self.set_step("answering");
    }

    /// Sets the current step, without control characters. A long name is cut.
    pub(super) fn set_step(&mut self, name: &str) {
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let name = cut(name.trim(), MAX_STEP_LEN).trim_end();
        if !name.is_empty() {
            self.step = Some(name.to_owned());
        }
    }

    /// Sets the id of the conversation, unless it is too long to be an id.
    pub(super) fn set_session(&mut self, id: Option<&str>) {
        if let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= MAX_SESSION_LEN)
            && !id.contains(char::is_control)
        {
            self.session = Some(id.to_owned());
        }
    }

    /// Adds the tokens of one turn. If the tokens are unknown, the sum of all turns is unknown too.
    pub(super) fn add_tokens(&mut self, tokens: Option<AgentTokens>) {
        let sum = tokens.and_then(|tokens| self.tokens.unwrap_or_default().plus(tokens));
        self.lacks_tokens |= sum.is_none();
        self.tokens = sum.filter(|_| !self.lacks_tokens);
    }
}
