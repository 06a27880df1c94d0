//! Lengths of time.

use super::BadValue;
use std::str::FromStr;
use std::time::Duration;

/// The longest time that a flag takes: 30 days.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Is a length of time of at most 30 days: `90`, `1.5` (seconds), `5m`, `1h 30m`, `2 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// Gives it in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Gives it as the standard library's duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let text = text.trim();
        let length = if is_plain_number(text) { seconds(text)? } else { friendly(text)? };
        if length > LONGEST {
            return Err(BadValue::new("it is longer than 30 days"));
        }
        Ok(Self(length))
    }
}

fn is_plain_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+'))
}

fn seconds(text: &str) -> Result<Duration, BadValue> {
    let seconds: f64 = text.parse().map_err(|_not_a_number| unreadable())?;
    Duration::try_from_secs_f64(seconds).map_err(|_out_of_range| {
        BadValue::new(if seconds < 0.0 { "it is negative" } else { "it is longer than 30 days" })
    })
}

fn friendly(text: &str) -> Result<Duration, BadValue> {
    let span: jiff::Span = text.parse().map_err(|_unreadable: jiff::Error| unreadable())?;
    let length = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_months_or_years| BadValue::new("months and years have no fixed length; say days"))?;
    Duration::try_from(length).map_err(|_negative| BadValue::new("it is negative"))
}

fn unreadable() -> BadValue {
    BadValue::new("say seconds, such as 90, or a number with a unit, such as 500ms, 5m or 1h 30m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_number_is_seconds() {
        assert_eq!(millis("90"), 90_000);
        assert_eq!(millis("0"), 0);
        assert_eq!(millis("1.5"), 1_500);
    }

    #[test]
    fn number_with_a_unit_is_what_it_says() {
        for (text, expected) in [
            ("500ms", 500),
            ("5m", 300_000),
            ("5 min", 300_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1 week", 604_800_000),
            ("PT5M", 300_000),
            ("0.5h", 1_800_000),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn negative_and_absurd_lengths_are_refused() {
        for text in [
            "-1",
            "-5m",
            "5m ago",
            "31d",
            "2592001",
            "1e9",
            "99999999999999999999999",
            "1 month",
            "",
            "soon",
            "5x",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        assert_eq!(millis("30d"), 2_592_000_000);
    }

    #[test]
    fn refusal_says_why() {
        assert_eq!(why("-5m"), "it is negative");
        assert_eq!(why("31d"), "it is longer than 30 days");
        assert!(why("soon").starts_with("say seconds"));
    }

    fn millis(text: &str) -> u64 {
        text.parse::<Span>().unwrap_or_else(|error| panic!("{text}: {error}")).as_millis()
    }

    fn why(text: &str) -> String {
        text.parse::<Span>().unwrap_err().to_string()
    }
}
