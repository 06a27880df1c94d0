//! Converts timestamps and durations to text and back.

use crate::error::ApiError;
use longhaul_domain::Timestamp;
use std::time::Duration;

/// Formats a timestamp as RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let far = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let moment = jiff::Timestamp::from_millisecond(at.0).unwrap_or(far);
    format!("{moment:.3}")
}

/// Converts a duration to seconds, rounded to milliseconds. Rounding removes meaningless digits of the floating-point
/// value.
pub(crate) fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// Parses a timestamp in RFC 3339.
pub(super) fn exact(text: &str) -> Result<Timestamp, ApiError> {
    let moment = text.parse::<jiff::Timestamp>();
    let moment = moment.map_err(|_| {
        ApiError::unreadable(
            "moment",
            text,
            &"the time is not in the RFC 3339 format with an \
         offset",
        )
    })?;
    Ok(Timestamp(moment.as_millisecond()))
}

/// Parses a point in time. The text is either in RFC 3339 or the time that has passed since then (`30s`, `10m`, `2h`,
/// `1d`, or a plain number of seconds).
///
/// # Errors
/// Returns `invalid_request` if the text has neither form.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp(moment.as_millisecond()));
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    match (number.parse::<i64>(), scale) {
        (Ok(number), Some(scale)) => Ok(Timestamp(now.0.saturating_sub(number.saturating_mul(scale)))),
        _ => Err(ApiError::unreadable(
            "moment",
            text,
            &"the value is neither an RFC 3339 time nor an age such as 30s \
             or 10m",
        )),
    }
}

/// Formats a duration for people, with its two largest units, such as `2 min 5 s`.
pub(crate) fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 1 => format!("{millis} ms"),
        (0, 0, 0) if seconds < 10 && millis % 1_000 >= 100 => {
            format!("{seconds}.{} s", millis % 1_000 / 100)
        }
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => joined(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => joined(hours, "h", minutes, "min"),
        (days, hours, _) => joined(days, "d", hours, "h"),
    }
}

fn joined(large: u64, unit: &str, small: u64, part: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_to_the_millisecond() {
        assert_eq!(rfc3339(Timestamp(1_700_000_000_007)), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339(Timestamp(i64::MAX)).starts_with("9999-"));
    }

    #[test]
    fn seconds_have_the_digits_of_milliseconds_and_no_more() {
        for millis in 0..100_000_u32 {
            let exact = f64::from(millis) / 1_000.0;
            assert_eq!(seconds(Duration::from_millis(millis.into())).to_bits(), exact.to_bits(), "{millis}");
        }
        assert_eq!(seconds(Duration::from_millis(3_272)).to_string(), "3.272");
    }

    #[test]
    fn moments_are_read_as_dates_and_as_spans() {
        let now = Timestamp(1_000_000);
        assert_eq!(moment("1970-01-01T00:00:05Z", now).unwrap(), Timestamp(5_000));
        assert_eq!(moment("30s", now).unwrap(), Timestamp(970_000));
        assert_eq!(moment("2", now).unwrap(), Timestamp(998_000));
        assert!(moment("yesterday", now).is_err());
        assert!(moment("-5s", now).is_err());
    }

    #[test]
    fn spans_are_said_in_two_units() {
        let said =
            [40, 1_500, 12_000, 125_000, 7_260_000, 90_000_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(said, ["40 ms", "1.5 s", "12 s", "2 min 5 s", "2 h 1 min", "1 d 1 h"]);
    }
}
