//! Slot limits of concurrency keys, as values of command-line flags.

use super::BadValue;
use std::str::FromStr;

/// Maximum number of processes with the same key that run at once: a number, 0 for no limit, or `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotsArg {
    /// Inherited limit: the limit of a more general pattern that matches the key.
    Default,
    /// Limit as a number of processes; 0 means no limit.
    Count(u32),
}

impl FromStr for SlotsArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let text = text.trim();
        if text == "default" {
            return Ok(Self::Default);
        }
        if text.starts_with('-') {
            return Err(BadValue::new("the number is negative; 0 means no limit"));
        }
        text.parse()
            .map(Self::Count)
            .map_err(|_not_a_number| BadValue::new("use a number, 0 for no limit, or default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_default_are_read() {
        assert_eq!("3".parse(), Ok(SlotsArg::Count(3)));
        assert_eq!("0".parse(), Ok(SlotsArg::Count(0)));
        assert_eq!("default".parse(), Ok(SlotsArg::Default));
    }

    #[test]
    fn invalid_number_of_slots_is_refused_with_the_reason() {
        let why = |text: &str| text.parse::<SlotsArg>().unwrap_err().to_string();
        assert!(why("-1").contains("negative"));
        for text in ["", "many", "1.5", "4294967296"] {
            assert!(why(text).contains("use a number"), "{text:?}");
        }
    }
}
