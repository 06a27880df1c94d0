//! JSON lines of Codex: `codex exec --json`.

use super::facts::{AgentFacts, AgentTokens};
use super::fields::{count, object, text};
use serde_json::Value;

/// Reads one line. Returns false if the type of the line is unknown.
pub(super) fn read(line: &Value, facts: &mut AgentFacts) -> bool {
    match text(line, &["type"]) {
        Some("thread.started") => {
            facts.set_session(text(line, &["thread_id"]));
            facts.set_step("started");
        }
        Some("turn.started") => {
            facts.has_ended = false;
            facts.set_step("thinking");
        }
        Some("item.started" | "item.updated" | "item.completed") => item(line, facts),
        Some("turn.completed") => {
            // Codex has recovered from errors before the end of the turn, such as a lost connection.
            facts.error = None;
            facts.has_ended = true;
            facts.add_tokens(object(line, &["usage"]).and_then(tokens));
        }
        Some("turn.failed") => {
            facts.has_ended = true;
            facts.error = text(line, &["error", "message"]).map(str::to_owned);
        }
        Some("error") => facts.error = text(line, &["message"]).map(str::to_owned),
        Some(_) | None => return false,
    }
    true
}

/// Returns the tokens of a turn. Returns `None` if one of the values is not a count.
fn tokens(usage: &Value) -> Option<AgentTokens> {
    let cached = count(usage, &["cached_input_tokens"])?;
    Some(AgentTokens {
        input: count(usage, &["input_tokens"])?.checked_sub(cached)?,
        output: count(usage, &["output_tokens"])?,
        cached,
    })
}

fn item(line: &Value, facts: &mut AgentFacts) {
    match text(line, &["item", "type"]) {
        Some("agent_message") => facts.say(text(line, &["item", "text"])),
        Some("reasoning") => facts.set_step("thinking"),
        Some("mcp_tool_call") => facts.set_step(text(line, &["item", "tool"]).unwrap_or("mcp_tool_call")),
        Some(kind) => facts.set_step(kind),
        None => {}
    }
}
