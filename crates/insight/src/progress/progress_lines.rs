//! Reads progress that a command writes as lines of JSON.

use crate::bounded_lines::BoundedLines;
use serde::Deserialize;
use std::time::Duration;

/// Maximum remaining time, in seconds. A longer time is considered an error of the program.
const MAX_ETA_SECS: f64 = 30.0 * 86_400.0;

/// Progress from one line of JSON, or from several merged lines.
///
/// The fields of a line are `percent` (0 to 100) or `done` and `total`, `stage` (text), and `eta_s` (seconds). All fields
/// are optional, and unknown fields are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgressLine {
    /// Percentage from 0 to 100.
    pub percent: Option<f64>,
    /// True if a new phase has begun in the merged lines. In this case, the percentage may be lower than before.
    pub is_new_phase: bool,
    /// Remaining time.
    pub eta: Option<Duration>,
    /// Current stage.
    pub stage: Option<String>,
}

#[derive(Deserialize)]
struct JsonLine {
    percent: Option<f64>,
    done: Option<f64>,
    total: Option<f64>,
    stage: Option<String>,
    eta_s: Option<f64>,
}

impl ProgressLine {
    /// Reads a line. Returns `None` if the line is not a JSON object with at least one of the fields, or if a field has
    /// the wrong type. A percentage below 0 or above 100 is ignored.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let json: JsonLine = serde_json::from_str(line).ok()?;
        let share = || Some(json.done? / json.total.filter(|total| *total > 0.0)? * 100.0);
        let percent = json.percent.or_else(share).filter(|percent| (0.0..=100.0).contains(percent));
        let eta = json.eta_s.filter(|seconds| (0.0..=MAX_ETA_SECS).contains(seconds));
        let read = Self {
            percent,
            is_new_phase: false,
            eta: eta.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            stage: json.stage,
        };
        (read != Self::default()).then_some(read)
    }

    /// Adds the fields of a later line. If the later line contains progress but no remaining time, the earlier
    /// remaining time is dropped, because it is outdated.
    ///
    /// A lower percentage is ignored, unless a new phase begins: the later line names another stage, or the earlier
    /// phase is complete.
    pub fn merge(&mut self, mut later: Self) {
        let begins_phase = later.is_new_phase
            || (later.stage.is_some() && later.stage != self.stage)
            || self.percent == Some(100.0);
        let goes_back = later.percent.zip(self.percent).is_some_and(|(later, earlier)| later < earlier);
        if goes_back && !begins_phase {
            later.percent = None;
        }
        self.is_new_phase |= later.is_new_phase || (goes_back && begins_phase);
        if later.percent.is_some() || later.eta.is_some() {
            self.eta = later.eta;
        }
        self.percent = later.percent.or(self.percent);
        if later.stage.is_some() {
            self.stage = later.stage;
        }
    }
}

/// Reads the lines of JSON that a command writes about its progress. The input is not trusted: lines that are too long,
/// and lines that contain no progress, are counted and ignored.
#[derive(Clone, Debug, Default)]
pub struct ProgressLines {
    lines: BoundedLines,
    ignored: u64,
}

impl ProgressLines {
    /// Reads the next bytes. Returns the merged progress of all complete lines, or `None` if they contain no progress.
    pub fn push(&mut self, bytes: &[u8]) -> Option<ProgressLine> {
        let Self { lines, ignored } = self;
        let mut latest: Option<ProgressLine> = None;
        lines.push(bytes, |line| {
            if line.text.trim().is_empty() {
                return;
            }
            match ProgressLine::parse(line.text) {
                Some(read) => latest.get_or_insert_default().merge(read),
                None => *ignored = ignored.saturating_add(1),
            }
        });
        latest
    }

    /// Drops the unfinished line, because bytes are missing before the next bytes.
    pub fn interrupt(&mut self) {
        self.lines.skip(0);
    }

    /// Returns the number of lines that were ignored.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(percent: Option<f64>, eta: Option<u64>, stage: Option<&str>) -> Option<ProgressLine> {
        Some(ProgressLine {
            percent,
            eta: eta.map(Duration::from_secs),
            stage: stage.map(str::to_owned),
            ..ProgressLine::default()
        })
    }

    #[test]
    fn fields_of_a_line_are_optional() {
        for (text, read) in [
            (r#"{"percent":40,"stage":"copy","eta_s":12}"#, line(Some(40.0), Some(12), Some("copy"))),
            (r#"{"done":3,"total":4,"file":"x"}"#, line(Some(75.0), None, None)),
            (r#"{"stage":"copy"}"#, line(None, None, Some("copy"))),
            (r#"{"percent":-5}"#, None),
            (r#"{"percent":150}"#, None),
            (r#"{"percent":1e308}"#, None),
            (r#"{"percent":-1e300,"stage":"copy"}"#, line(None, None, Some("copy"))),
            (r#"{"done":7,"total":4}"#, None),
            (r#"{"done":4,"total":4}"#, line(Some(100.0), None, None)),
            (r#"{"percent":1,"eta_s":-5}"#, line(Some(1.0), None, None)),
            (r#"{"percent":1,"eta_s":1e300}"#, line(Some(1.0), None, None)),
            (r#"{"done":1,"total":0}"#, None),
            (r#"{"percent":"40"}"#, None),
            (r#"{"percent":1e999}"#, None),
            ("{}", None),
            ("40", None),
            ("[40]", None),
            ("Progress: 40%", None),
        ] {
            assert_eq!(ProgressLine::parse(text), read, "{text}");
        }
    }

    #[test]
    fn lines_are_merged_and_garbage_is_counted() {
        let mut lines = ProgressLines::default();
        assert_eq!(
            lines.push(b"{\"percent\":1,\"eta_s\":60,\"stage\":\"a\"}\n{\"perc"),
            line(Some(1.0), Some(60), Some("a"))
        );
        assert_eq!(lines.push(b"ent\":2}\n\ngarbage\n{\"stage\":\"b\"}\n"), line(Some(2.0), None, Some("b")));
        assert_eq!(lines.ignored(), 1);
        lines.push(b"{\"percent\":");
        lines.interrupt();
        assert_eq!(lines.push(b"3}\n{\"percent\":4}\n"), line(Some(4.0), None, None));
        let huge = format!("{{\"stage\":\"{}\"}}\n", "x".repeat(1 << 20));
        assert_eq!(lines.push(huge.as_bytes()), None);
        assert_eq!(lines.ignored(), 3);
    }

    #[test]
    fn merged_progress_goes_back_only_with_a_new_phase() {
        let merged = |text: &str| {
            let read = ProgressLines::default().push(text.as_bytes()).unwrap();
            (read.percent, read.is_new_phase)
        };
        for (text, expected) in [
            ("{\"percent\":50}\n{\"percent\":40}\n", (Some(50.0), false)),
            ("{\"percent\":50,\"stage\":\"a\"}\n{\"percent\":40,\"stage\":\"a\"}\n", (Some(50.0), false)),
            ("{\"percent\":50,\"stage\":\"a\"}\n{\"percent\":40,\"stage\":\"b\"}\n", (Some(40.0), true)),
            ("{\"percent\":100}\n{\"percent\":40}\n{\"percent\":45}\n", (Some(45.0), true)),
        ] {
            assert_eq!(merged(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hostile_lines_never_yield_progress_outside_of_its_range(
            text in "[{}\":a-z,0-9.e+\\-\\n]{0,300}", done in any::<f64>(), total in any::<f64>(),
        ) {
            let mut lines = ProgressLines::default();
            let counted = format!("{text}\n{{\"done\":{done:e},\"total\":{total:e}}}\n");
            let percent = lines.push(counted.as_bytes()).and_then(|read| read.percent);
            prop_assert!(percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
        }
    }
}
