//! Commands with placeholders.

use super::error::RunnerError;

/// A placeholder in an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// Prompt of the launch.
    Prompt,
    /// Model of the launch.
    Model,
    /// Session of the launch, or the id of a remote session.
    Session,
    /// Working directory of the command.
    Cwd,
}

/// Values of the placeholders of one launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlaceholderValues<'a> {
    pub(super) prompt: &'a str,
    pub(super) model: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) cwd: &'a str,
}

/// A program and its arguments, which may contain placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandTemplate(Vec<ArgumentTemplate>);

/// An argument as a sequence of texts and placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ArgumentTemplate(Vec<ArgumentPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum ArgumentPart {
    Text(String),
    Value(Placeholder),
}

impl Placeholder {
    const ALL: [Self; 4] = [Self::Prompt, Self::Model, Self::Session, Self::Cwd];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Model => "model",
            Self::Session => "session",
            Self::Cwd => "cwd",
        }
    }
}

impl<'a> PlaceholderValues<'a> {
    const fn of(&self, placeholder: Placeholder) -> Option<&'a str> {
        match placeholder {
            Placeholder::Prompt => Some(self.prompt),
            Placeholder::Model => self.model,
            Placeholder::Session => self.session,
            Placeholder::Cwd => Some(self.cwd),
        }
    }
}

impl CommandTemplate {
    /// Parses the words of a command. `field` is the name of the configuration key that contains the command. `known`
    /// lists the placeholders that the command may contain.
    pub(super) fn parse(
        field: &'static str,
        words: &[String],
        known: &[Placeholder],
    ) -> Result<Self, RunnerError> {
        let arguments = words.iter().map(|word| ArgumentTemplate::parse(field, word, known));
        let arguments: Vec<ArgumentTemplate> = arguments.collect::<Result<_, _>>()?;
        match arguments.first() {
            None => Err(RunnerError::Missing { field }),
            Some(program) if program.0.iter().any(|part| matches!(part, ArgumentPart::Value(_))) => {
                Err(RunnerError::PlaceholderInProgram { field })
            }
            Some(program) if program.0.is_empty() => Err(RunnerError::Missing { field }),
            Some(_) => Ok(Self(arguments)),
        }
    }

    /// Returns true if an argument contains the placeholder.
    pub(super) fn uses(&self, placeholder: Placeholder) -> bool {
        self.0.iter().any(|argument| argument.uses(placeholder))
    }

    /// Returns the words in front of the first flag and the first placeholder: the program and its subcommands.
    pub(super) fn subcommand(&self) -> Vec<&str> {
        let word = ArgumentTemplate::fixed_word;
        self.0.iter().map_while(word).collect()
    }

    /// Replaces the placeholders. If the value of a placeholder is absent, the argument with this placeholder is left
    /// out, together with the flag in front of the argument.
    pub(super) fn expand(&self, values: &PlaceholderValues<'_>) -> Vec<String> {
        let mut words: Vec<String> = Vec::with_capacity(self.0.len());
        let mut before: Option<&ArgumentTemplate> = None;
        for argument in &self.0 {
            match argument.expand(values) {
                Some(word) => words.push(word),
                None if !argument.is_flag() && before.is_some_and(ArgumentTemplate::is_bare_flag) => {
                    words.pop();
                }
                None => {}
            }
            before = Some(argument);
        }
        words
    }
}

impl ArgumentTemplate {
    /// Parses one argument. `{name}` is a placeholder, and `{{name}}` stands for the text `{name}`. All other braces
    /// are normal text, so that JSON needs no escaping.
    fn parse(field: &'static str, word: &str, known: &[Placeholder]) -> Result<Self, RunnerError> {
        let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), word);
        while let Some(at) = rest.find('{') {
            let (plain, braced) = rest.split_at_checked(at).unwrap_or((rest, ""));
            text.push_str(plain);
            if let Some((name, behind)) = escaped(braced) {
                text.push_str(&format!("{{{name}}}"));
                rest = behind;
            } else if let Some((name, behind)) = placeholder(braced) {
                let found = known.iter().find(|placeholder| placeholder.as_str() == name);
                let found = *found.ok_or_else(|| unknown(field, name, known))?;
                if !text.is_empty() {
                    parts.push(ArgumentPart::Text(std::mem::take(&mut text)));
                }
                parts.push(ArgumentPart::Value(found));
                rest = behind;
            } else {
                text.push('{');
                rest = braced.get(1..).unwrap_or_default();
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(ArgumentPart::Text(text));
        }
        Ok(Self(parts))
    }

    fn uses(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&ArgumentPart::Value(placeholder))
    }

    /// Returns the argument with the values of its placeholders. Returns `None` if a value is absent. An argument that
    /// contains the prompt is always returned, and an absent value is then replaced by an empty text.
    fn expand(&self, values: &PlaceholderValues<'_>) -> Option<String> {
        let keeps = self.uses(Placeholder::Prompt);
        let mut word = String::new();
        for part in &self.0 {
            match part {
                ArgumentPart::Text(text) => word.push_str(text),
                ArgumentPart::Value(placeholder) => match values.of(*placeholder) {
                    Some(value) => word.push_str(value),
                    None if keeps => {}
                    None => return None,
                },
            }
        }
        Some(word)
    }

    /// Returns the argument if the argument is not a flag and contains no placeholder.
    fn fixed_word(&self) -> Option<&str> {
        match self.0.as_slice() {
            [ArgumentPart::Text(text)] if !text.starts_with('-') => Some(text),
            _ => None,
        }
    }

    /// Returns true if the argument itself is a flag, such as `--model={model}`.
    fn is_flag(&self) -> bool {
        matches!(self.0.first(), Some(ArgumentPart::Text(text)) if text.starts_with('-'))
    }

    /// Returns true if the argument is a flag whose value is the next argument, such as `--model`.
    fn is_bare_flag(&self) -> bool {
        match self.0.as_slice() {
            [ArgumentPart::Text(text)] => {
                text.starts_with('-') && !text.contains('=') && text != "-" && text != "--"
            }
            _ => false,
        }
    }
}

/// Splits a text such as `{{name}}…` into the name and the text after the braces.
fn escaped(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = placeholder(text.strip_prefix('{')?)?;
    Some((name, rest.strip_prefix('}')?))
}

/// Splits a text such as `{name}…` into the name and the text after the braces.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name.then_some((name, rest))
}

fn unknown(field: &'static str, name: &str, known: &[Placeholder]) -> RunnerError {
    let is_elsewhere = Placeholder::ALL.iter().any(|placeholder| placeholder.as_str() == name);
    RunnerError::UnknownPlaceholder {
        field,
        name: name.to_owned(),
        is_elsewhere,
        known: known.iter().map(|known| format!("{{{}}}", known.as_str())).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(words: &[&str]) -> Result<CommandTemplate, RunnerError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        CommandTemplate::parse("command", &words, &Placeholder::ALL)
    }

    fn expand(words: &[&str], prompt: &str, model: Option<&str>) -> Vec<String> {
        let values = PlaceholderValues { prompt, model, session: None, cwd: "/src" };
        parse(words).unwrap().expand(&values)
    }

    #[test]
    fn hostile_prompt_stays_one_argument_and_the_flag_of_an_absent_model_is_removed() {
        let words = ["claude", "-p", "{prompt}", "--model", "{model}"];
        let hostile = "fix \"x\"; $(rm -rf /)\nline 2 {model} {{cwd}}";
        assert_eq!(expand(&words, hostile, Some("opus")), ["claude", "-p", hostile, "--model", "opus"]);
        assert_eq!(expand(&words, "-v", None), ["claude", "-p", "-v"]);
        assert_eq!(expand(&["a", "--model={model}", "--", "{prompt}"], "-v", None), ["a", "--", "-v"]);
        assert_eq!(expand(&["a", "--", "{model}", "{prompt}"], "p", None), ["a", "--", "p"]);
        assert_eq!(expand(&["a", "-v", "--m={model}", "{prompt}"], "p", None), ["a", "-v", "p"]);
        assert_eq!(expand(&["a", "--on", "x/{model}", "{prompt}"], "p", None), ["a", "p"]);
        assert_eq!(expand(&["a", "{prompt} ({model})", "{cwd}"], "p", None), ["a", "p ()", "/src"]);
    }

    #[test]
    fn only_words_in_braces_are_placeholders() {
        let words = ["a", r#"{"a":{"b":"{prompt}"}}"#, "${HOME}", "{}", "{{prompt}}", "{", "x}"];
        let expected = ["a", r#"{"a":{"b":"p"}}"#, "${HOME}", "{}", "{prompt}", "{", "x}"];
        assert_eq!(expand(&words, "p", None), expected);
    }

    #[test]
    fn unknown_placeholder_names_the_known_ones() {
        let error = parse(&["a", "{promt}"]).unwrap_err();
        let words = error.to_string();
        assert!(words.contains("{promt}"), "{words}");
        assert!(error.help().contains("{prompt}, {model}, {session}, {cwd}"), "{}", error.help());
        assert!(matches!(parse(&["{prompt}"]), Err(RunnerError::PlaceholderInProgram { .. })));
        assert!(matches!(parse(&[]), Err(RunnerError::Missing { .. })));
        assert!(matches!(parse(&["", "x"]), Err(RunnerError::Missing { .. })));
    }

    proptest! {
        #[test]
        fn every_prompt_is_a_single_argument(prompt in any::<String>(), model in any::<Option<String>>()) {
            let words = expand(&["agent", "--json", "--model={model}", "--", "{prompt}"], &prompt, model.as_deref());
            prop_assert_eq!(words.len(), if model.is_some() { 5 } else { 4 });
            prop_assert_eq!(words.last(), Some(&prompt));
            prop_assert_eq!(&words[words.len() - 2], "--");
            let joined = expand(&["agent", "--message={prompt}"], &prompt, None);
            prop_assert_eq!(joined, vec!["agent".to_owned(), format!("--message={prompt}")]);
        }

        #[test]
        fn text_without_placeholders_is_unchanged(word in "[^{}]*") {
            prop_assert_eq!(expand(&["agent", &word], "p", None), vec!["agent".to_owned(), word]);
        }
    }
}
