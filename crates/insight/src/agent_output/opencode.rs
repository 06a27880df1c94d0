//! JSON lines of OpenCode: `opencode run --format json`.

use super::facts::{AgentFacts, AgentTokens};
use super::fields::{count, object, text};
use serde_json::Value;

/// Reads one line. Returns false if the type of the line is unknown.
pub(super) fn read(line: &Value, facts: &mut AgentFacts) -> bool {
    match text(line, &["type"]) {
        Some("step_start") => {
            facts.has_ended = false;
            facts.set_step("thinking");
        }
        Some("text") => facts.say(text(line, &["part", "text"])),
        Some("tool_use") => facts.set_step(text(line, &["part", "tool"]).unwrap_or("tool")),
        Some("step_finish") => {
            // After a step that called tools, a further step follows.
            facts.has_ended = text(line, &["part", "reason"]) != Some("tool-calls");
            facts.add_tokens(object(line, &["part", "tokens"]).and_then(tokens));
        }
        Some("error") => {
            let stated = text(line, &["error", "data", "message"]).or_else(|| text(line, &["error", "name"]));
            facts.error = stated.map(str::to_owned);
        }
        Some("reasoning") => facts.set_step("thinking"),
        Some(_) | None => return false,
    }
    facts.set_session(text(line, &["sessionID"]));
    true
}

/// Returns the tokens of a step. Returns `None` if one of the values is not a count.
fn tokens(part: &Value) -> Option<AgentTokens> {
    Some(AgentTokens {
        input: count(part, &["input"])?.checked_add(count(part, &["cache", "write"])?)?,
        output: count(part, &["output"])?.checked_add(count(part, &["reasoning"])?)?,
        cached: count(part, &["cache", "read"])?,
    })
}
