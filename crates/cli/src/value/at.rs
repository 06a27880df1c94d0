//! Time at which a process may start, as the value of a flag.

use super::BadValue;
use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, Zoned};
use std::str::FromStr;

/// Point in time: `15:00` (the next occurrence), `2026-11-21 15:00` (local time) or `2026-11-21T15:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartTime(Timestamp);

impl StartTime {
    /// Returns the time in RFC 3339 format.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.0.to_string()
    }

    /// Parses a time relative to `now`. A text without a time zone is interpreted in the time zone of `now`.
    fn read(text: &str, now: &Zoned) -> Result<Self, BadValue> {
        let text = text.trim();
        if let Ok(moment) = text.parse() {
            return Ok(Self(moment));
        }
        let zoned = if let Ok(time) = text.parse::<Time>() {
            let today = now.date().to_datetime(time).to_zoned(now.time_zone().clone());
            match today {
                Ok(today) if today <= *now => now
                    .date()
                    .tomorrow()
                    .and_then(|tomorrow| tomorrow.to_datetime(time).to_zoned(now.time_zone().clone())),
                today => today,
            }
        } else {
            text.parse::<DateTime>().and_then(|moment| moment.to_zoned(now.time_zone().clone()))
        };
        zoned.map(|zoned| Self(zoned.timestamp())).map_err(|_unreadable| unreadable())
    }
}

impl FromStr for StartTime {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        Self::read(text, &Zoned::now())
    }
}

fn unreadable() -> BadValue {
    BadValue::new("use a time such as 15:00, a day with a time such as 2026-11-21 15:00, or RFC 3339")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_read_as_the_clock_here_shows_it() {
        for (text, expected) in [
            ("2026-11-21T15:00:00Z", "2026-11-21T15:00:00Z"),
            ("2026-11-21T15:00:00+01:00", "2026-11-21T14:00:00Z"),
            ("2026-11-21T15:00:00", "2026-11-21T13:00:00Z"),
            ("2026-11-21 15:00", "2026-11-21T13:00:00Z"),
            ("15:00", "2026-11-21T13:00:00Z"),
            ("11:30", "2026-11-22T09:30:00Z"),
        ] {
            assert_eq!(read(text).map(StartTime::rfc3339).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_time_is_refused_with_examples() {
        for text in ["", "soon", "25:00", "2026-13-01 10:00", "5m", "-1"] {
            assert!(read(text).unwrap_err().to_string().contains("15:00"), "{text:?}");
        }
    }

    fn read(text: &str) -> Result<StartTime, BadValue> {
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        StartTime::read(text, &"2026-11-21T10:00:00Z".parse::<Timestamp>().unwrap().to_zoned(zone))
    }
}
