//! Formats points in time, either absolutely or relative to the current time.

use super::amount::rough;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Current time, from which relative times are calculated, and the time zone in which times are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RenderTime {
    at: Timestamp,
    pub(crate) utc: bool,
}

impl RenderTime {
    /// Creates a reference time from the manager's time in a response. Uses the local clock if the response contains no
    /// valid time.
    pub(crate) fn parse(at: &str, utc: bool) -> Self {
        Self { at: at.parse().unwrap_or_else(|_unreadable: jiff::Error| Timestamp::now()), utc }
    }

    /// Creates a reference time from the local clock.
    pub(crate) fn here(utc: bool) -> Self {
        Self { at: Timestamp::now(), utc }
    }

    /// Formats the time that has passed since a point in time, such as `5m ago`.
    pub(crate) fn ago(self, moment: &str) -> String {
        match self.millis_since(moment) {
            Some(0..1_000) => "now".to_owned(),
            Some(millis) => format!("{} ago", rough(millis)),
            None => "-".to_owned(),
        }
    }

    /// Formats the duration until a future point in time. Returns `None` if the text is not a valid time.
    pub(crate) fn until(self, moment: &str) -> Option<String> {
        let moment: Timestamp = moment.parse().ok()?;
        let millis = moment.as_millisecond().checked_sub(self.at.as_millisecond())?;
        Some(super::amount::length(u64::try_from(millis).unwrap_or(0)))
    }

    /// Formats a time as date, time of day and time zone.
    pub(crate) fn clock(self, moment: &str) -> String {
        match moment.parse::<Timestamp>() {
            Ok(moment) => in_zone(moment, self.utc, "%Y-%m-%d %H:%M:%S %Z"),
            Err(_unreadable) => moment.to_owned(),
        }
    }

    /// Returns the reference time in RFC 3339 format, in UTC.
    pub(crate) fn rfc3339(self) -> String {
        format!("{:.3}", self.at)
    }

    /// Returns the milliseconds that have passed since a point in time. Returns `None` if the text is not a valid time.
    pub(crate) fn millis_since(self, moment: &str) -> Option<u64> {
        let moment: Timestamp = moment.parse().ok()?;
        let millis = self.at.as_millisecond().checked_sub(moment.as_millisecond())?;
        Some(u64::try_from(millis).unwrap_or(0))
    }
}

/// Formats a Unix time in milliseconds in RFC 3339 format with milliseconds.
pub(crate) fn moment_of_millis(millis: i64, utc: bool) -> String {
    match Timestamp::from_millisecond(millis) {
        Ok(moment) if utc => format!("{moment:.3}"),
        Ok(moment) => in_zone(moment, false, "%Y-%m-%dT%H:%M:%S.%3f%:z"),
        Err(_out_of_range) => millis.to_string(),
    }
}

fn in_zone(moment: Timestamp, utc: bool, format: &str) -> String {
    let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
    moment.to_zoned(zone).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_relative_to_now() {
        let now = RenderTime::parse("2026-11-21T01:50:00Z", true);
        assert_eq!(now.ago("2026-11-21T01:48:00Z"), "2m ago");
        assert_eq!(now.ago("2026-11-21T01:49:59.500Z"), "now");
        assert_eq!(now.ago("2026-11-21T02:00:00Z"), "now");
        assert_eq!(now.ago("nonsense"), "-");
        assert_eq!(now.until("2026-11-21T01:50:04Z").as_deref(), Some("4.0s"));
        assert_eq!(now.clock("2026-11-21T01:48:00.123Z"), "2026-11-21 01:48:00 UTC");
    }

    #[test]
    fn moment_of_output_has_milliseconds() {
        assert_eq!(moment_of_millis(1_500, true), "1970-01-01T00:00:01.500Z");
        assert_eq!(moment_of_millis(i64::MAX, true), i64::MAX.to_string());
    }
}
