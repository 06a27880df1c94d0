use super::super::facts::AgentTokens;
use super::*;
use proptest::prelude::*;

const CLAUDE: &str = include_str!("../../../fixtures/agents/claude.jsonl");
const CODEX: &str = include_str!("../../../fixtures/agents/codex.jsonl");
const GEMINI: &str = include_str!("../../../fixtures/agents/gemini.jsonl");
const OPENCODE: &str = include_str!("../../../fixtures/agents/opencode.jsonl");
const AIDER: &str = include_str!("../../../fixtures/agents/aider.txt");

const FORMATS: [(AgentFormat, &str); 5] = [
    (AgentFormat::Claude, CLAUDE),
    (AgentFormat::Codex, CODEX),
    (AgentFormat::Gemini, GEMINI),
    (AgentFormat::Opencode, OPENCODE),
    (AgentFormat::Plain, AIDER),
];

fn facts(format: AgentFormat, pieces: &[&[u8]]) -> AgentFacts {
    let mut reader = AgentOutputReader::new(format);
    pieces.iter().for_each(|piece| reader.push(piece));
    reader.finish()
}

fn expected(
    message: &str,
    (input, output, cached): (u64, u64, u64),
    session: &str,
    step: &str,
) -> AgentFacts {
    AgentFacts {
        message: Some(message.to_owned()),
        error: None,
        tokens: Some(AgentTokens { input, output, cached }),
        session: Some(session.to_owned()),
        step: Some(step.to_owned()),
        has_ended: true,
        lacks_tokens: false,
        ignored_lines: 0,
    }
}

#[test]
fn last_message_tokens_session_and_step_are_found_in_each_format() {
    let session = "6f0b6a56-3c64-4c1a-9b8f-5a2b8c6f1e0d";
    let found = facts(AgentFormat::Claude, &[CLAUDE.as_bytes()]);
    assert_eq!(found, expected("The login test passes now.", (13_220, 259, 40_122), session, "done"));
    let session = "0199a213-81c0-7800-8aa1-bbab2a035a53";
    let found = facts(AgentFormat::Codex, &[CODEX.as_bytes()]);
    assert_eq!(
        found,
        expected("I corrected two links in the README.", (315, 122, 24_448), session, "answering")
    );
    let found = facts(AgentFormat::Gemini, &[GEMINI.as_bytes()]);
    assert_eq!(found, expected("There are two files.", (30, 200, 20), "abc123", "answering"));
    let session = "ses_494719016ffe85dkDMj0FPRbHK";
    let found = facts(AgentFormat::Opencode, &[OPENCODE.as_bytes()]);
    assert_eq!(found, expected("Done: it printed hello.", (22_443, 121, 21_415), session, "answering"));
}

#[test]
fn plain_text_is_the_message_and_states_nothing_else() {
    let found = facts(AgentFormat::Plain, &[AIDER.as_bytes()]);
    assert_eq!(found, AgentFacts { message: Some(AIDER.trim().to_owned()), ..AgentFacts::default() });
    assert_eq!(facts(AgentFormat::Plain, &[b" \n\x1b[0m\n"]).message, None);
    let long = facts(AgentFormat::Plain, &[&vec![b'x'; 3 * MAX_MESSAGE_LEN], b"end\n"]).message.unwrap();
    assert!(long.starts_with('…') && long.ends_with("xend") && long.len() < MAX_MESSAGE_LEN + 10);
}

#[test]
fn step_follows_the_lines() {
    let mut reader = AgentOutputReader::new(AgentFormat::Claude);
    let steps: Vec<_> = CLAUDE
        .split_inclusive('\n')
        .map(|line| {
            reader.push(line.as_bytes());
            reader.facts().step.clone().unwrap_or_default()
        })
        .collect();
    assert_eq!(steps, ["started", "answering", "Bash", "Bash", "Edit", "answering", "done"]);
}

#[test]
fn stated_failure_is_an_error_and_not_a_message() {
    for (format, line, error) in [
        (
            AgentFormat::Claude,
            r#"{"type":"result","subtype":"error_max_turns","is_error":false,"num_turns":9,"session_id":"s"}"#,
            "error_max_turns",
        ),
        (
            AgentFormat::Claude,
            r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 429"}"#,
            "API Error: 429",
        ),
        (
            AgentFormat::Codex,
            r#"{"type":"turn.failed","error":{"message":"stream disconnected"}}"#,
            "stream disconnected",
        ),
        (AgentFormat::Codex, r#"{"type":"error","message":"no such model"}"#, "no such model"),
        (
            AgentFormat::Gemini,
            r#"{"type":"result","status":"error","error":{"type":"X","message":"quota exceeded"}}"#,
            "quota exceeded",
        ),
        (
            AgentFormat::Opencode,
            r#"{"type":"error","sessionID":"s","error":{"name":"APIError","data":{"message":"bad key"}}}"#,
            "bad key",
        ),
    ] {
        let found = facts(format, &[line.as_bytes()]);
        assert_eq!((found.error.as_deref(), found.message), (Some(error), None), "{line}");
    }
}

#[test]
fn tokens_that_are_no_counts_are_left_out() {
    let huge = "99999999999999999999999";
    let most = u64::MAX;
    for (format, lines) in [
        (AgentFormat::Claude, format!(r#"{{"type":"result","usage":{{"input_tokens":{huge}}}}}"#)),
        (AgentFormat::Claude, r#"{"type":"result","usage":{"output_tokens":-3}}"#.to_owned()),
        (AgentFormat::Claude, r#"{"type":"result","usage":"none"}"#.to_owned()),
        (AgentFormat::Claude, r#"{"type":"result","usage":{}}"#.to_owned()),
        (
            AgentFormat::Claude,
            format!(
                r#"{{"type":"result","usage":{{"input_tokens":{most},"cache_creation_input_tokens":1}}}}"#
            ),
        ),
        (AgentFormat::Codex, r#"{"type":"turn.completed"}"#.to_owned()),
        (AgentFormat::Gemini, r#"{"type":"result","stats":{"input_tokens":"9"}}"#.to_owned()),
        (
            AgentFormat::Opencode,
            format!(
                "{0}\n{0}",
                format_args!(r#"{{"type":"step_finish","part":{{"tokens":{{"output":{most}}}}}}}"#)
            ),
        ),
        (
            AgentFormat::Codex,
            "{\"type\":\"turn.completed\",\"usage\":{\"output_tokens\":1.5}}\n\
             {\"type\":\"turn.completed\",\"usage\":{\"output_tokens\":5}}"
                .to_owned(),
        ),
    ] {
        assert_eq!(facts(format, &[lines.as_bytes()]).tokens, None, "{lines}");
    }
}

#[test]
fn message_counts_only_after_the_record_that_ends_the_work() {
    for (format, sample) in FORMATS.iter().filter(|(format, _)| *format != AgentFormat::Plain) {
        let lines: Vec<&str> = sample.lines().collect();
        let whole = facts(*format, &[sample.as_bytes()]);
        for end in 0..lines.len() {
            let cut = facts(*format, &[lines[..end].join("\n").as_bytes()]);
            assert_eq!(cut.message, None, "{format:?} after {end} lines");
        }
        assert!(whole.message.is_some(), "{format:?}");
        let more = [sample.as_bytes(), lines[..lines.len() - 1].join("\n").as_bytes()].concat();
        assert_eq!(facts(*format, &[&more]).message, None, "{format:?}: a further turn was cut off");
    }
    let next =
        "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"name\":\"Bash\"}]}}\n";
    assert_eq!(facts(AgentFormat::Claude, &[CLAUDE.as_bytes(), next.as_bytes()]).message, None);
}

#[test]
fn lines_that_are_not_of_the_format_are_ignored_and_counted() {
    let garbage = "warning: no colour\n{\"type\":\"moon\"}\n[1,2]\n{\"type\":12}\nnull\n{\"type\":\"res";
    for (format, sample) in FORMATS.iter().filter(|(format, _)| *format != AgentFormat::Plain) {
        let found = facts(*format, &[garbage.as_bytes(), b"\n", sample.as_bytes(), garbage.as_bytes()]);
        let clean = facts(*format, &[sample.as_bytes()]);
        assert_eq!(found, AgentFacts { ignored_lines: 12, ..clean }, "{format:?}");
    }
}

#[test]
fn whole_output_as_one_list_is_read_too() {
    let lines: Vec<&str> = CLAUDE.lines().collect();
    let list = format!("[{}]\n", lines.join(","));
    assert_eq!(
        facts(AgentFormat::Claude, &[list.as_bytes()]),
        facts(AgentFormat::Claude, &[CLAUDE.as_bytes()])
    );
}

#[test]
fn long_messages_and_long_steps_are_cut() {
    let long = "ü".repeat(MAX_MESSAGE_LEN);
    let line = serde_json::json!({"type":"result","subtype":"success","result":long}).to_string();
    let message = facts(AgentFormat::Claude, &[line.as_bytes()]).message.unwrap();
    assert!(message.ends_with('…') && message.len() <= MAX_MESSAGE_LEN + 3);
    let tool =
        serde_json::json!({"type":"tool_use","part":{"tool":format!("a\u{1b}[31m{long}")}}).to_string();
    let step = facts(AgentFormat::Opencode, &[tool.as_bytes()]).step.unwrap();
    assert!(step.starts_with("a[31m") && step.len() <= 80, "{step}");
    let hostile = serde_json::json!({"type":"init","session_id":"a\nb"}).to_string();
    assert_eq!(facts(AgentFormat::Gemini, &[hostile.as_bytes()]).session, None);
}

#[test]
fn tokens_are_unknown_if_a_turn_may_be_missing() {
    for (format, sample) in FORMATS.iter().filter(|(format, _)| *format != AgentFormat::Plain) {
        let mut reader = AgentOutputReader::new(*format);
        reader.push(b"{\"type\":\"half of a li");
        reader.interrupt();
        reader.push(sample.as_bytes());
        let found = reader.finish();
        let whole = facts(*format, &[sample.as_bytes()]);
        let states_totals = matches!(format, AgentFormat::Claude | AgentFormat::Gemini);
        assert_eq!(found.tokens, whole.tokens.filter(|_| states_totals), "{format:?}");
        assert_eq!((found.message, found.ignored_lines), (whole.message, 0));
    }
}

proptest! {
    #[test]
    fn facts_do_not_depend_on_the_pieces(which in 0_usize..5, cut in 0_usize..3_000) {
        let (format, sample) = FORMATS[which];
        let (first, second) = sample.as_bytes().split_at(cut.min(sample.len()));
        prop_assert_eq!(facts(format, &[first, second]), facts(format, &[sample.as_bytes()]));
    }

    #[test]
    fn damaged_output_is_never_a_panic(
        which in 0_usize..5, at in 0_usize..3_000, byte: u8, end in 0_usize..3_000,
    ) {
        let (format, sample) = FORMATS[which];
        let mut bytes = sample.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let found = facts(format, &[&bytes[..end.min(bytes.len())]]);
        prop_assert!(found.ignored_lines <= 8);
    }

    #[test]
    fn any_bytes_are_accepted(which in 0_usize..5, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = facts(FORMATS[which].0, &[&bytes]);
    }
}
