//! Minimum age of an ended process, as the value of a flag.

use super::BadValue;
use super::span::length_within;
use std::str::FromStr;
use std::time::Duration;

/// Maximum age that a flag accepts: ten years.
const MAX_AGE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Age of at most ten years, such as `90` (seconds), `12h` or `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgeArg(Duration);

impl AgeArg {
    /// Returns the age in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for AgeArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        length_within(text, MAX_AGE, "the age is longer than ten years").map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_may_be_longer_than_a_span() {
        assert_eq!("7d".parse::<AgeArg>().map(AgeArg::as_millis), Ok(604_800_000));
        assert_eq!("90d".parse::<AgeArg>().map(AgeArg::as_millis), Ok(7_776_000_000));
        assert_eq!("0".parse::<AgeArg>().map(AgeArg::as_millis), Ok(0));
        for (text, why) in [("4000d", "ten years"), ("-1d", "negative"), ("old", "use seconds")] {
            let refused = text.parse::<AgeArg>().unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
