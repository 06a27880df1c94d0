use super::facts::AgentFacts;
use super::gemini::GeminiReader;
use super::{claude, codex, opencode};
use crate::bounded_text::{clean, cut};
use crate::json_lines::JsonLines;
use serde_json::Value;

/// Maximum length of a message in bytes. If a message is longer, its start is kept for JSON formats, and its end for
/// plain text.
pub const MAX_MESSAGE_LEN: usize = 32 * 1024;

/// Format of the output of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentFormat {
    /// Text for people.
    Plain,
    /// JSON lines of Claude Code.
    Claude,
    /// JSON lines of Codex.
    Codex,
    /// JSON lines of Gemini CLI.
    Gemini,
    /// JSON lines of OpenCode.
    Opencode,
}

/// Reads the standard output of an agent.
///
/// # Examples
///
/// ```
/// use longhaul_insight::agent_output::{AgentFormat, AgentOutputReader};
///
/// let mut reader = AgentOutputReader::new(AgentFormat::Claude);
/// reader.push(br#"{"type":"result","subtype":"success","result":"done","session_id":"7"}"#);
/// let facts = reader.finish();
/// assert_eq!(facts.message.as_deref(), Some("done"));
/// assert_eq!(facts.session.as_deref(), Some("7"));
/// ```
#[derive(Debug)]
pub struct AgentOutputReader {
    format: FormatState,
    facts: AgentFacts,
    /// True if a part of the output is missing. Sums are then incomplete.
    has_gap: bool,
}

#[derive(Debug)]
enum FormatState {
    Plain(PlainTail),
    Lines { lines: JsonLines, format: LineFormat },
}

#[derive(Debug)]
enum LineFormat {
    Claude,
    Codex,
    Gemini(GeminiReader),
    Opencode,
}

/// The last part of a plain text.
#[derive(Debug, Default)]
struct PlainTail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl AgentOutputReader {
    /// Creates a reader.
    #[must_use]
    pub fn new(format: AgentFormat) -> Self {
        let lines = |format| FormatState::Lines { lines: JsonLines::default(), format };
        let format = match format {
            AgentFormat::Plain => FormatState::Plain(PlainTail::default()),
            AgentFormat::Claude => lines(LineFormat::Claude),
            AgentFormat::Codex => lines(LineFormat::Codex),
            AgentFormat::Gemini => lines(LineFormat::Gemini(GeminiReader::default())),
            AgentFormat::Opencode => lines(LineFormat::Opencode),
        };
        Self { format, facts: AgentFacts::default(), has_gap: false }
    }

    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let Self { format, facts, .. } = self;
        match format {
            FormatState::Plain(tail) => tail.push(bytes),
            FormatState::Lines { lines, format } => lines.push(bytes, &mut |line| format.read(line, facts)),
        }
    }

    /// Drops an unfinished line, because output is missing before the next bytes.
    pub fn interrupt(&mut self) {
        self.has_gap = true;
        match &mut self.format {
            FormatState::Plain(tail) => *tail = PlainTail { bytes: Vec::new(), is_cut: true },
            FormatState::Lines { lines, .. } => *lines = JsonLines::default(),
        }
    }

    /// Returns the facts so far. The message is known only at the end of the output.
    #[must_use]
    pub const fn facts(&self) -> &AgentFacts {
        &self.facts
    }

    /// Reads an unfinished last line, and returns all facts.
    #[must_use]
    pub fn finish(mut self) -> AgentFacts {
        let Self { format, facts, has_gap } = &mut self;
        match format {
            FormatState::Plain(tail) => facts.message = tail.message(),
            FormatState::Lines { lines, format } => {
                lines.finish(&mut |line| format.read(line, facts));
                if *has_gap && format.adds_up_turns() {
                    facts.tokens = None;
                }
                facts.ignored_lines = facts.ignored_lines.saturating_add(lines.skipped());
                // Without the record that ends the work, the agent was cut off, and its last message may not be a result.
                facts.message = facts.message.take().filter(|_| facts.has_ended).map(bounded);
                facts.error = facts.error.take().map(bounded);
            }
        }
        self.facts
    }
}

impl LineFormat {
    /// Returns true if the format reports the tokens of each turn. A missing line then makes the sum wrong.
    const fn adds_up_turns(&self) -> bool {
        match self {
            Self::Codex | Self::Opencode => true,
            Self::Claude | Self::Gemini(_) => false,
        }
    }

    fn read(&mut self, line: &[u8], facts: &mut AgentFacts) {
        let is_known = match serde_json::from_slice::<Value>(line) {
            // Claude Code can print all its lines as one JSON list.
            Ok(Value::Array(lines)) => lines.iter().filter(|line| !self.read_value(line, facts)).count() == 0,
            Ok(value) => self.read_value(&value, facts),
            Err(_) => false,
        };
        if !is_known {
            facts.ignored_lines = facts.ignored_lines.saturating_add(1);
        }
    }

    fn read_value(&mut self, line: &Value, facts: &mut AgentFacts) -> bool {
        match self {
            Self::Claude => claude::read(line, facts),
            Self::Codex => codex::read(line, facts),
            Self::Gemini(reader) => reader.read(line, facts),
            Self::Opencode => opencode::read(line, facts),
        }
    }
}

impl PlainTail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Remove the start only when twice the maximum has accumulated, so that the cost of each byte stays constant.
        if self.bytes.len() > 2 * MAX_MESSAGE_LEN {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let excess = self.bytes.len().saturating_sub(MAX_MESSAGE_LEN);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    fn message(&mut self) -> Option<String> {
        self.trim();
        let text = clean(&self.bytes);
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        Some(if self.is_cut { format!("…\n{text}") } else { text.to_owned() })
    }
}

/// Returns the start of a long text, followed by an ellipsis.
fn bounded(text: String) -> String {
    let start = cut(&text, MAX_MESSAGE_LEN);
    if start.len() == text.len() { text } else { format!("{start}…") }
}

#[cfg(test)]
mod tests;
