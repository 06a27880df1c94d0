//! JSON lines of Gemini CLI: `gemini --output-format stream-json`.

use super::facts::{AgentFacts, AgentTokens};
use super::fields::{count, object, text};
use super::reader::MAX_MESSAGE_LEN;
use serde_json::Value;

/// Reads the lines. A message can arrive in several pieces.
#[derive(Debug, Default)]
pub(super) struct GeminiReader {
    /// True if the last line was a piece of a message that may continue.
    in_message: bool,
}

impl GeminiReader {
    /// Reads one line. Returns false if the type of the line is unknown.
    pub(super) fn read(&mut self, line: &Value, facts: &mut AgentFacts) -> bool {
        let kind = text(line, &["type"]);
        let continues = std::mem::take(&mut self.in_message);
        match kind {
            Some("init") => {
                facts.set_session(text(line, &["session_id"]));
                facts.set_step("started");
            }
            Some("message") if text(line, &["role"]) == Some("assistant") => {
                self.in_message = line.get("delta").and_then(Value::as_bool).unwrap_or(false);
                let piece = text(line, &["content"]).unwrap_or_default();
                let before = facts.message.take().filter(|_| continues && self.in_message);
                let mut whole = before.unwrap_or_default();
                // Further pieces of a long message are not needed, because the message is cut later.
                if whole.len() <= MAX_MESSAGE_LEN {
                    whole.push_str(piece);
                }
                facts.say(Some(&whole));
            }
            Some("message" | "tool_result") => {}
            Some("tool_use") => facts.set_step(text(line, &["tool_name"]).unwrap_or("tool")),
            Some("error") => facts.error = text(line, &["message"]).map(str::to_owned),
            Some("result") => result(line, facts),
            Some(_) | None => return false,
        }
        true
    }
}

fn result(line: &Value, facts: &mut AgentFacts) {
    facts.has_ended = true;
    match text(line, &["status"]) {
        Some("success") => facts.error = None,
        Some(_) => {
            let stated = text(line, &["error", "message"]).map(str::to_owned);
            facts.error = stated.or_else(|| facts.error.take());
        }
        None => {}
    }
    if let Some(stats) = object(line, &["stats"]) {
        facts.tokens = tokens(stats);
    }
}

/// Returns the total numbers of tokens. Returns `None` if one of the values is not a count.
fn tokens(stats: &Value) -> Option<AgentTokens> {
    let cached = count(stats, &["cached"])?;
    Some(AgentTokens {
        input: count(stats, &["input_tokens"])?.checked_sub(cached)?,
        output: count(stats, &["output_tokens"])?,
        cached,
    })
}
