//! Reads the output of agents. The first line of the input names the format. The result must not depend on how the
//! output is split into chunks. The result must be short even if the agent prints long texts.

use super::Verdict;
use longhaul_insight::agent_output::{AgentFacts, AgentFormat, AgentOutputReader, MAX_MESSAGE_LEN};

/// Maximum length of a message or an error in bytes, including the note that a part of the text is missing.
const MAX_TEXT_LEN: usize = MAX_MESSAGE_LEN + 200;
/// Maximum length of the JSON text of a message, in bytes.
const JSON_LIMIT: usize = 1_000;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("the input has no first line")?;
    let (name, output) = bytes.split_at(end);
    let output = output.get(1..).unwrap_or_default();
    let format = match name {
        b"plain" => AgentFormat::Plain,
        b"claude" => AgentFormat::Claude,
        b"codex" => AgentFormat::Codex,
        b"gemini" => AgentFormat::Gemini,
        b"opencode" => AgentFormat::Opencode,
        _ => return Err("the first line names no format".to_owned()),
    };
    let facts = read(format, &[output]);
    let (start, rest) = output.split_at(output.len() / 2);
    assert_eq!(read(format, &[start, rest]), facts, "the facts depend on how the output is split");
    let bytes: Vec<&[u8]> = output.chunks(1).take(4_096).collect();
    let first = output.get(..bytes.len()).unwrap_or(output);
    assert_eq!(read(format, &bytes), read(format, &[first]), "the facts of single bytes differ");
    check(&facts);
    check(&with_gap(format, start, rest));
    let has_facts = facts.message.is_some() || facts.error.is_some() || facts.session.is_some();
    if has_facts { Ok(()) } else { Err("the output states no fact".to_owned()) }
}

fn read(format: AgentFormat, chunks: &[&[u8]]) -> AgentFacts {
    let mut reader = AgentOutputReader::new(format);
    for chunk in chunks {
        reader.push(chunk);
    }
    reader.finish()
}

fn with_gap(format: AgentFormat, before: &[u8], after: &[u8]) -> AgentFacts {
    let mut reader = AgentOutputReader::new(format);
    reader.push(before);
    reader.interrupt();
    reader.push(after);
    reader.finish()
}

fn check(facts: &AgentFacts) {
    for text in [&facts.message, &facts.error].into_iter().flatten() {
        assert!(text.len() <= MAX_TEXT_LEN, "a text has {} bytes", text.len());
    }
    for label in [&facts.session, &facts.step].into_iter().flatten() {
        assert!(label.len() <= 128, "a label has {} bytes", label.len());
        assert!(!label.is_empty() && !label.contains(char::is_control), "{label:?}");
    }
    let json = facts.message_json(JSON_LIMIT);
    assert_eq!(json.is_some(), facts.message.is_some());
    assert!(json.is_none_or(|json| json.len() <= JSON_LIMIT), "the JSON text of the message is too long");
}
