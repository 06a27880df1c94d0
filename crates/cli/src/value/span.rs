//! Durations as values of command-line flags.

use super::BadValue;
use std::str::FromStr;
use std::time::Duration;

/// Maximum duration that a flag accepts: 30 days.
const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Maximum number of digits that is accepted in any unit of a duration without overflow.
const MAX_DIGITS: usize = 6;
/// Error text for a flag value that is not a duration.
const UNREADABLE: &str = "use seconds, such as 90, or a number with a unit, such as 500ms, 5m or 1h 30m";

/// Duration of at most 30 days, such as `90` or `1.5` (both in seconds), `5m`, `1h 30m` or `2 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationArg(Duration);

impl DurationArg {
    /// Returns the duration in milliseconds. A duration above zero is at least 1.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        let whole = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        // A duration below one millisecond must not become zero, because zero means "never" or "immediately".
        whole.max(u64::from(!self.0.is_zero()))
    }

    /// Returns the duration as [`Duration`].
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for DurationArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        length_within(text, MAX_DURATION, "the duration is longer than 30 days").map(Self)
    }
}

/// Parses a duration without a maximum, in the format of [`DurationArg`]. A duration above zero becomes at least 1 ms.
///
/// # Errors
/// Fails if the text is not a duration.
pub fn length(text: &str) -> Result<Duration, BadValue> {
    let length = length_within(text, Duration::MAX, "the duration is too long")?;
    Ok(if length.is_zero() { length } else { length.max(Duration::from_millis(1)) })
}

/// Parses a duration of at most `max`. If the duration is longer, the function fails with the text `too_long`.
pub(super) fn length_within(text: &str, max: Duration, too_long: &str) -> Result<Duration, BadValue> {
    let text = text.trim();
    let read = if is_plain_number(text) { seconds(text) } else { friendly(text) };
    match read {
        Ok(length) if length <= max => Ok(length),
        Ok(_) | Err(InvalidDuration::TooLong) => Err(BadValue::new(too_long)),
        Err(InvalidDuration::Wrong(wrong)) => Err(wrong),
    }
}

/// Reason why a text is not a valid duration.
enum InvalidDuration {
    TooLong,
    Wrong(BadValue),
}

fn is_plain_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+'))
}

fn seconds(text: &str) -> Result<Duration, InvalidDuration> {
    let seconds: f64 = text.parse().map_err(|_not_a_number| unreadable())?;
    let length = Duration::try_from_secs_f64(seconds)
        .map_err(|_out_of_range| if seconds < 0.0 { negative() } else { InvalidDuration::TooLong })?;
    Ok(if seconds > 0.0 { length.max(Duration::from_nanos(1)) } else { length })
}

fn friendly(text: &str) -> Result<Duration, InvalidDuration> {
    let span: jiff::Span = text.parse().map_err(|_unreadable: jiff::Error| refusal(text))?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_months_or_years| {
        InvalidDuration::Wrong(BadValue::new("months and years have no fixed length; use days"))
    })?;
    Duration::try_from(length).map_err(|_negative| negative())
}

/// Determines why the parser refused the text. The duration is negative, it is too large to be represented, or the text
/// is not a duration.
fn refusal(text: &str) -> InvalidDuration {
    match shortened(text).parse::<jiff::Span>() {
        Ok(span) if span.is_negative() => negative(),
        Ok(_) => InvalidDuration::TooLong,
        Err(_) => unreadable(),
    }
}

/// Shortens every whole number in the text to [`MAX_DIGITS`] digits, so that no unit overflows.
fn shortened(text: &str) -> String {
    let mut digits = 0;
    let mut fraction = false;
    text.chars()
        .filter(|each| {
            if each.is_ascii_digit() {
                digits += 1;
                return fraction || digits <= MAX_DIGITS;
            }
            digits = 0;
            fraction = *each == '.';
            true
        })
        .collect()
}

fn negative() -> InvalidDuration {
    InvalidDuration::Wrong(BadValue::new("the duration is negative"))
}

fn unreadable() -> InvalidDuration {
    InvalidDuration::Wrong(BadValue::new(UNREADABLE))
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
    fn number_with_a_unit_is_parsed() {
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
    fn duration_below_a_millisecond_does_not_become_zero() {
        for text in ["0.0001s", "1µs", "1us", "1ns", "0.0001", "0.00000000001", "0.5ms"] {
            assert_eq!(millis(text), 1, "{text}");
        }
        for text in ["0", "0s", "0ms", "0.0"] {
            assert_eq!(millis(text), 0, "{text}");
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
            assert!(text.parse::<DurationArg>().is_err(), "{text:?}");
        }
        assert_eq!(millis("30d"), 2_592_000_000);
    }

    #[test]
    fn refusal_says_why() {
        assert_eq!(why("-5m"), "the duration is negative");
        for text in ["31d", "9999999999d", "99999999999999999999999s", "99999999999999h 3m", "9e9"] {
            let expected = if text == "9e9" { "use seconds" } else { "the duration is longer than 30 days" };
            assert!(why(text).starts_with(expected), "{text}: {}", why(text));
        }
        assert_eq!(why("-9999999999d"), "the duration is negative");
        assert_eq!(why("-1"), "the duration is negative");
        assert!(why("soon").starts_with("use seconds"));
    }

    fn millis(text: &str) -> u64 {
        text.parse::<DurationArg>().unwrap_or_else(|error| panic!("{text}: {error}")).as_millis()
    }

    fn why(text: &str) -> String {
        text.parse::<DurationArg>().unwrap_err().to_string()
    }
}
