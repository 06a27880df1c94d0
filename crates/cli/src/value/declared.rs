//! Environment variables that are declared on the command line.

use super::BadValue;
use std::fmt;
use std::str::FromStr;

/// Environment variable for the command, given as `K=V`. `K` alone passes on the value that the caller has.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvArg {
    name: String,
    value: Option<String>,
}

impl EnvArg {
    /// Returns the name of the variable.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value of the variable. Returns `None` if only the name was given.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl FromStr for EnvArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(BadValue::new("use NAME=VALUE, or NAME to copy the current value"));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl fmt::Debug for EnvArg {
    /// Prints only the name, because the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Declared").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_may_hold_an_equals_sign_and_may_be_empty() {
        let declared: EnvArg = "A=b=c".parse().unwrap();
        assert_eq!((declared.name(), declared.value()), ("A", Some("b=c")));
        assert_eq!("A=".parse::<EnvArg>().unwrap().value(), Some(""));
        assert_eq!("A".parse::<EnvArg>().unwrap().value(), None);
        assert!("=b".parse::<EnvArg>().is_err());
    }

    #[test]
    fn debug_output_hides_the_value() {
        let declared: EnvArg = "TOKEN=secret".parse().unwrap();
        assert!(!format!("{declared:?}").contains("secret"));
    }
}
