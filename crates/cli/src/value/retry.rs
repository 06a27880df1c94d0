//! Values of the flags that control retries.

use super::{BadValue, DurationArg};
use std::str::FromStr;

/// Delay between attempts: `1s..60s` sets the first and the longest delay, `5s` only the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffArg {
    /// Delay before the second attempt. The delay doubles with each further attempt.
    pub first: DurationArg,
    /// Longest delay.
    pub cap: Option<DurationArg>,
}

impl FromStr for BackoffArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let Some((first, cap)) = text.split_once("..") else {
            return Ok(Self { first: text.parse()?, cap: None });
        };
        let (first, cap): (DurationArg, DurationArg) = (first.parse()?, cap.parse()?);
        if cap < first {
            return Err(BadValue::new("the maximum delay is shorter than the first delay"));
        }
        Ok(Self { first, cap: Some(cap) })
    }
}

/// Failure after which an attempt is retried: an exit code, `timeout` or `interrupted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOnArg {
    /// The command exited with this code.
    Code(i32),
    /// The attempt exceeded its time limit.
    Timeout,
    /// The exit of the attempt was not observed. A retry may then execute the work twice.
    Interrupted,
}

impl FromStr for RetryOnArg {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.trim() {
            "timeout" => Ok(Self::Timeout),
            "interrupted" => Ok(Self::Interrupted),
            code => code
                .parse()
                .ok()
                .filter(|code| (1..=255).contains(code))
                .map(Self::Code)
                .ok_or_else(|| BadValue::new("use exit codes from 1 to 255, timeout or interrupted")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_has_a_first_and_perhaps_a_longest_wait() {
        let backoff: BackoffArg = "1s..60s".parse().unwrap();
        assert_eq!(backoff.first.as_millis(), 1_000);
        assert_eq!(backoff.cap.map(DurationArg::as_millis), Some(60_000));
        assert_eq!("500ms".parse::<BackoffArg>().unwrap().cap, None);
    }

    #[test]
    fn backoff_that_shrinks_is_refused() {
        assert!("60s..1s".parse::<BackoffArg>().is_err());
        assert!("..".parse::<BackoffArg>().is_err());
    }

    #[test]
    fn reasons_for_a_retry_are_codes_and_words() {
        assert_eq!("75".parse(), Ok(RetryOnArg::Code(75)));
        assert_eq!("timeout".parse(), Ok(RetryOnArg::Timeout));
        assert_eq!("interrupted".parse(), Ok(RetryOnArg::Interrupted));
        for text in ["0", "256", "always", ""] {
            assert!(text.parse::<RetryOnArg>().is_err(), "{text:?}");
        }
    }
}
