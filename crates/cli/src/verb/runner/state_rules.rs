//! Reads the state of a remote session from the output of a tool.

use longhaul_view::{TerminalPolicy, sanitize};
use longhaul_wire::runner_plan::{RemoteState, SESSION_PLACEHOLDER, StateRule};
use regex::{Regex, RegexBuilder};

/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Maximum length of the text of a state, in bytes.
const MAX_STATE_LEN: usize = 80;
/// Maximum length of the id of a session, in bytes.
const MAX_SESSION_LEN: usize = 256;

/// Compiled rules that find the state of one session in the output of a tool.
#[derive(Debug)]
pub(super) struct StateRules(Vec<(Regex, RemoteState)>);

/// State that a tool printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrintedState {
    pub(super) state: RemoteState,
    /// State in the words of the tool.
    pub(super) text: String,
}

impl StateRules {
    /// Compiles the rules for a session.
    pub(super) fn new(rules: &[StateRule], session: &str) -> Result<Self, regex::Error> {
        let session = regex::escape(session);
        let compiled = rules.iter().map(|rule| {
            let pattern = compile(&rule.pattern.replace(SESSION_PLACEHOLDER, &session))?;
            Ok((pattern, rule.state))
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the state of the first rule that matches. Returns `None` if no rule matches. Control sequences, such as
    /// colors, are ignored.
    pub(super) fn read(&self, output: &str) -> Option<PrintedState> {
        let output = sanitize(output.as_bytes(), TerminalPolicy::Plain);
        let output = String::from_utf8_lossy(&output);
        self.0.iter().find_map(|(pattern, state)| {
            let found = pattern.captures(&output)?;
            let text = found.get(1).or_else(|| found.get(0))?.as_str();
            Some(PrintedState { state: *state, text: shown(text, *state) })
        })
    }
}

/// Pattern that finds the id of a session in the output of the command that created it.
#[derive(Clone, Debug)]
pub(super) struct SessionPattern(Regex);

/// Id that a tool printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrintedId {
    pub(super) id: String,
    /// Position of the end of the id in the text.
    pub(super) end: usize,
}

impl SessionPattern {
    /// Compiles a pattern with one group.
    pub(super) fn new(pattern: &str) -> Result<Self, regex::Error> {
        compile(pattern).map(Self)
    }

    /// Returns the id in a text. Returns `None` if the pattern does not match, or if the matched text cannot be an id.
    pub(super) fn find(&self, output: &str) -> Option<PrintedId> {
        let found = self.0.captures(output)?.get(1)?;
        let id = found.as_str();
        // The tool would interpret a text such as `--all` as an option.
        let is_id = !id.is_empty()
            && id.len() <= MAX_SESSION_LEN
            && !id.starts_with('-')
            && !id.contains(|c: char| c.is_control() || c.is_whitespace());
        is_id.then(|| PrintedId { id: id.to_owned(), end: found.end() })
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build()
}

/// Returns the text that the tool printed for the state, as one short line. If the text is empty, returns the name of
/// the state.
fn shown(text: &str, state: RemoteState) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut words: String = words.chars().filter(|c| !c.is_control()).collect();
    words.truncate(words.floor_char_boundary(MAX_STATE_LEN));
    let words = words.trim_end();
    if words.is_empty() { state.as_str() } else { words }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(&str, RemoteState)]) -> Vec<StateRule> {
        rules
            .iter()
            .map(|(pattern, state)| StateRule { pattern: (*pattern).to_owned(), state: *state })
            .collect()
    }

    #[test]
    fn first_matching_rule_determines_the_state_and_the_text_of_the_tool_is_kept() {
        let states = rules(&[
            (r"\bAWAITING_\w+", RemoteState::WaitingForInput),
            (r"\bCOMPLETED\b", RemoteState::Completed),
            (r"(?m)^{session} .* (\w+)$", RemoteState::Running),
        ]);
        let rules = StateRules::new(&states, "a.b").unwrap();
        let read = |output| rules.read(output).map(|found| (found.state, found.text));
        let waits = Some((RemoteState::WaitingForInput, "AWAITING_PLAN_APPROVAL".to_owned()));
        assert_eq!(read("state: AWAITING_PLAN_APPROVAL, was COMPLETED"), waits);
        assert_eq!(
            read("axb title WORKING\na.b title PLANNING\n"),
            Some((RemoteState::Running, "PLANNING".to_owned()))
        );
        assert_eq!(read("NOT_COMPLETED"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn colors_do_not_hide_a_state() {
        let states = rules(&[(r"\bIN_PROGRESS\b", RemoteState::Running)]);
        let found = StateRules::new(&states, "1").unwrap().read("\x1b[31mIN_PROGRESS\x1b[0m\n").unwrap();
        assert_eq!((found.state, found.text.as_str()), (RemoteState::Running, "IN_PROGRESS"));
    }

    #[test]
    fn id_is_the_text_of_the_group_and_never_an_option_or_a_text_with_spaces() {
        let pattern = SessionPattern::new(r"(?i)created: *([^\n]*)").unwrap();
        let id = |output| pattern.find(output).map(|found| found.id);
        assert_eq!(id("Session created: 123\n").as_deref(), Some("123"));
        for output in ["Session: 123", "created: --all", "created: two words", "created: ", ""] {
            assert_eq!(id(output), None, "{output}");
        }
        assert!(SessionPattern::new("(").is_err());
    }
}
