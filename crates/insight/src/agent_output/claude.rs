//! JSON lines of Claude Code: `claude -p --output-format stream-json --verbose`, and the single line of
//! `--output-format json`.

use super::facts::{AgentFacts, AgentTokens};
use super::fields::{count, items, object, text};
use serde_json::Value;

/// Reads one line. Returns false if the type of the line is unknown.
pub(super) fn read(line: &Value, facts: &mut AgentFacts) -> bool {
    match text(line, &["type"]) {
        Some("system") => facts.set_step("started"),
        Some("assistant") => {
            facts.has_ended = false;
            message(line, facts);
        }
        Some("result") => result(line, facts),
        // These lines contain results of tools, or parts of messages that later arrive as a whole.
        Some("user" | "stream_event" | "rate_limit_event" | "tool_progress" | "auth_status") => {}
        Some(_) | None => return false,
    }
    facts.set_session(text(line, &["session_id"]));
    true
}

fn message(line: &Value, facts: &mut AgentFacts) {
    for part in items(line, &["message", "content"]) {
        match text(part, &["type"]) {
            Some("text") => facts.say(text(part, &["text"])),
            Some("tool_use") => facts.set_step(text(part, &["name"]).unwrap_or("tool")),
            Some("thinking") => facts.set_step("thinking"),
            Some(_) | None => {}
        }
    }
}

/// Reads the last line, which contains the totals of all turns.
fn result(line: &Value, facts: &mut AgentFacts) {
    let said = text(line, &["result"]);
    let failed = line.get("is_error").and_then(Value::as_bool).unwrap_or(false);
    let kind = text(line, &["subtype"]).filter(|kind| *kind != "success");
    if failed || kind.is_some() {
        facts.error = said.or(kind).map(str::to_owned);
    } else if let Some(said) = said {
        facts.message = Some(said.to_owned());
    }
    if let Some(usage) = object(line, &["usage"]) {
        facts.tokens = tokens(usage);
    }
    facts.has_ended = true;
    facts.set_step("done");
}

/// Returns the total numbers of tokens. Returns `None` if one of the values is not a count.
fn tokens(usage: &Value) -> Option<AgentTokens> {
    Some(AgentTokens {
        input: count(usage, &["input_tokens"])?
            .checked_add(count(usage, &["cache_creation_input_tokens"])?)?,
        output: count(usage, &["output_tokens"])?,
        cached: count(usage, &["cache_read_input_tokens"])?,
    })
}
