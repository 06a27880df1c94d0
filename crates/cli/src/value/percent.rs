//! Progress values.

use super::BadValue;
use std::str::FromStr;

/// Progress value, given as `42`, `42%` or `412/1000`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentArg(f64);

impl PercentArg {
    /// Returns the progress in percent, from 0 to 100.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for PercentArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let text = text.trim();
        let share = match text.split_once('/') {
            Some((done, all)) => number(done)? / number(all)? * 100.0,
            None => number(text.strip_suffix('%').unwrap_or(text))?,
        };
        if (0.0..=100.0).contains(&share) { Ok(Self(share)) } else { Err(unreadable()) }
    }
}

fn number(text: &str) -> Result<f64, BadValue> {
    text.trim().parse().map_err(|_not_a_number| unreadable())
}

fn unreadable() -> BadValue {
    BadValue::new("use a percentage from 0 to 100, or done/all, such as 412/1000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_shares_are_read() {
        for (text, expected) in [("42", 42.0), ("42.5%", 42.5), ("1/4", 25.0), ("5/5", 100.0), ("0", 0.0)] {
            assert_eq!(text.parse::<PercentArg>().map(PercentArg::value), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_percentage_is_refused() {
        for text in ["", "-1", "nan", "inf", "1/0", "0/0", "half", "101", "100.1%", "1e308", "7/5", "-1/5"] {
            assert!(text.parse::<PercentArg>().is_err(), "{text:?}");
        }
    }
}
