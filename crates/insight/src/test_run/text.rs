//! Texts of test results, cut to their maximum lengths.

use super::case::{MAX_ID_LEN, MAX_TEXT_LEN};
use crate::bounded_text::cut;
use std::time::Duration;

/// Maximum length of a message in bytes.
pub(super) const MAX_SUMMARY_LEN: usize = 1024;
/// Maximum length of a compared value in bytes.
const MAX_VALUE_LEN: usize = 4096;

/// Returns the id of a test as one line, cut to [`MAX_ID_LEN`] bytes.
pub(super) fn id(text: &str) -> String {
    let text = cut(text, MAX_ID_LEN);
    if text.contains('\n') { text.replace('\n', " ") } else { text.to_owned() }
}

/// Returns the first non-empty line, cut to [`MAX_SUMMARY_LEN`] bytes.
pub(super) fn message(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    cut(line, MAX_SUMMARY_LEN).to_owned()
}

/// Returns a text, cut to [`MAX_TEXT_LEN`] bytes, or `None` if it is blank.
pub(super) fn block(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| cut(text.trim_end(), MAX_TEXT_LEN).to_owned())
}

/// Returns a compared value, or `None` if it is empty.
pub(super) fn value(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cut(text, MAX_VALUE_LEN).to_owned())
}

/// Converts a number of seconds to a duration. Returns `None` if the number is not a valid duration.
pub(super) fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| duration.as_secs() < 10_000_000_000)
}

/// Parses a decimal number of seconds. Commas may separate thousands.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    // Without a decimal point, a comma is ambiguous: it may separate thousands or decimals.
    if text.len() > 40 || text.contains(',') && !text.contains('.') {
        return None;
    }
    if text.contains(',') {
        seconds(text.replace(',', "").parse().ok()?)
    } else {
        seconds(text.parse().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_are_not_numbers_are_unknown() {
        assert_eq!(parse_seconds("1,234.5"), Some(Duration::from_millis(1_234_500)));
        for text in ["", "0,001", "NaN", "inf", "-1", "1e300", "soon"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }
}
