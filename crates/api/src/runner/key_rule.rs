use super::error::RunnerError;
use longhaul_domain::SlotKey;

/// A rule that assigns a concurrency key to models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyRule {
    /// Name of a model. An asterisk stands for any characters.
    pattern: String,
    pub(super) key: SlotKey,
}

impl KeyRule {
    /// Parses a rule such as `claude-opus*=opus`.
    pub(super) fn parse(text: &str) -> Result<Self, RunnerError> {
        let invalid = || RunnerError::Key { text: text.to_owned() };
        let (pattern, key) = text.rsplit_once('=').ok_or_else(invalid)?;
        let key = SlotKey::new(key.trim()).map_err(|_| invalid())?;
        let pattern = pattern.trim().to_owned();
        if pattern.is_empty() { Err(invalid()) } else { Ok(Self { pattern, key }) }
    }

    /// Returns true if the rule applies to the model.
    pub(super) fn covers(&self, model: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let Some(mut rest) = model.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        for part in middle {
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asterisks_stand_for_any_characters() {
        let covers =
            |pattern: &str, model: &str| KeyRule::parse(&format!("{pattern}=k")).unwrap().covers(model);
        for (pattern, model) in [
            ("opus", "opus"),
            ("*", ""),
            ("claude-opus*", "claude-opus-4-1"),
            ("*/gpt-*-mini", "openai/gpt-5-mini"),
        ] {
            assert!(covers(pattern, model), "{pattern} {model}");
        }
        for (pattern, model) in
            [("opus", "opus-4"), ("claude-opus*", "opus"), ("a*a", "a"), ("*/gpt-*-mini", "openai/gpt-5")]
        {
            assert!(!covers(pattern, model), "{pattern} {model}");
        }
    }

    #[test]
    fn rule_needs_a_pattern_and_a_key() {
        for text in ["opus", "=opus", "opus=", "opus*= \n"] {
            assert!(KeyRule::parse(text).is_err(), "{text}");
        }
    }
}
