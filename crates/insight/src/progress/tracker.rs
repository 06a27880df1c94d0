//! Selects one progress value from all values that a command prints.

use super::format::{self, ProgressFormat, ProgressPatternError, Reading};
use super::line_states::LineStates;
use regex::Regex;
use std::time::Duration;

/// Percentage from which on a bar counts as finished. The next bar then starts a new phase.
const FINISHED: f64 = 99.5;
/// Number of values of other bars after which the parser stops following a bar that has shown no new value.
const MAX_FOREIGN_READINGS: u32 = 200;

/// Progress that the command printed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressUpdate {
    /// Percentage from 0 to 100.
    pub percent: f64,
    /// Remaining time, as estimated by the command.
    pub eta: Option<Duration>,
    /// True if a new phase has started. In this case, the percentage may be lower than before.
    pub is_new_phase: bool,
}

/// Finds the progress of a command in its output.
///
/// The parser follows the first bar that appears until this bar is complete. Meanwhile it ignores bars with other
/// formats or labels. The percentage decreases only when a new phase starts, which is the first bar after a complete
/// one.
///
/// # Examples
///
/// ```
/// use longhaul_insight::progress::ProgressParser;
///
/// let mut parser = ProgressParser::auto();
/// let update = parser.push(b"\r 10%|#    | 1/10 [00:01<00:09]\r 20%|##   | 2/10 [00:02<00:08]").unwrap();
/// assert_eq!(update.percent, 20.0);
/// assert_eq!(parser.push(b"I am 100% sure\n"), None);
/// ```
#[derive(Clone, Debug)]
pub struct ProgressParser {
    pattern: Option<Regex>,
    segments: LineStates,
    followed: Option<FollowedBar>,
}

/// The progress bar that the parser follows.
#[derive(Clone, Debug)]
struct FollowedBar {
    format: ProgressFormat,
    label: Option<String>,
    percent: f64,
    eta: Option<Duration>,
    /// Number of values of other bars since the last value of this bar.
    foreign: u32,
}

impl FollowedBar {
    fn shows(&self, reading: &Reading) -> bool {
        self.format == reading.format && self.label == reading.label
    }
}

impl ProgressParser {
    /// Creates a parser for the progress formats of common programs.
    #[must_use]
    pub fn auto() -> Self {
        Self { pattern: None, segments: LineStates::default(), followed: None }
    }

    /// Creates a parser for a user pattern. The pattern must contain the group `percent`, or the groups `done` and
    /// `total`.
    ///
    /// # Errors
    /// Returns [`ProgressPatternError`] if the pattern is invalid or lacks these groups.
    pub fn with_pattern(pattern: &str) -> Result<Self, ProgressPatternError> {
        Ok(Self { pattern: Some(format::compile(pattern)?), ..Self::auto() })
    }

    /// Reads the next bytes of output. Returns the latest progress if it changed.
    pub fn push(&mut self, bytes: &[u8]) -> Option<ProgressUpdate> {
        let Self { pattern, segments, followed } = self;
        let (mut changed, mut is_new_phase) = (false, false);
        segments.push(bytes, |segment| {
            let Some(reading) = read(pattern.as_ref(), segment) else { return };
            match followed {
                Some(bar)
                    if bar.shows(&reading) && (reading.percent >= bar.percent || bar.percent < FINISHED) =>
                {
                    bar.foreign = 0;
                    // A lower value before the bar has finished is ignored, because programs that print one progress
                    // bar per file print such values.
                    if reading.percent > bar.percent || reading.eta != bar.eta {
                        changed = true;
                        bar.percent = bar.percent.max(reading.percent);
                        bar.eta = reading.eta;
                    }
                }
                Some(bar) if bar.percent < FINISHED && bar.foreign < MAX_FOREIGN_READINGS => {
                    bar.foreign = bar.foreign.saturating_add(1);
                }
                Some(_) | None => {
                    is_new_phase |= followed.is_some();
                    changed = true;
                    let Reading { format, percent, eta, label } = reading;
                    *followed = Some(FollowedBar { format, label, percent, eta, foreign: 0 });
                }
            }
        });
        let bar = self.followed.as_ref().filter(|_| changed)?;
        Some(ProgressUpdate { percent: bar.percent, eta: bar.eta, is_new_phase })
    }
}

fn read(pattern: Option<&Regex>, segment: &[u8]) -> Option<Reading> {
    if let Some(reading) = format::read_terminal(segment) {
        return Some(reading);
    }
    let plain;
    let text = if memchr::memchr(0x1b, segment).is_some() {
        plain = longhaul_view::sanitize(segment, longhaul_view::TerminalPolicy::Plain);
        std::str::from_utf8(&plain).ok()?
    } else {
        std::str::from_utf8(segment).ok()?
    };
    match pattern {
        Some(pattern) => format::read_with(pattern, text),
        None => format::read(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]]) -> Vec<(f64, bool)> {
        let mut parser = ProgressParser::auto();
        pieces
            .iter()
            .filter_map(|piece| parser.push(piece))
            .map(|update| (update.percent, update.is_new_phase))
            .collect()
    }

    #[test]
    fn progress_goes_back_only_with_a_new_phase() {
        let lines: [&[u8]; 6] = [
            b"Progress: 40%\n",
            b"Progress: 20%\n",
            b"Progress: 100%\n",
            b"100% sure\n",
            b"Progress: 5%\n",
            b"Progress: 50%\n",
        ];
        assert_eq!(all(&lines), [(40.0, false), (100.0, false), (5.0, true), (50.0, false)]);
    }

    #[test]
    fn inner_bar_does_not_disturb_the_outer_bar() {
        let lines: [&[u8]; 5] = [
            b"epochs:   0%|    | 0/2 [00:00<?, ?it/s]\n",
            b"\rbatches:  50%|##  | 1/2 [00:01<00:01, 1it/s]",
            b"\rbatches: 100%|####| 2/2 [00:02<00:00, 1it/s]\n",
            b"\repochs:  50%|##  | 1/2 [00:02<00:02, 2s/it]",
            b"\rbatches:  50%|##  | 1/2 [00:01<00:01, 1it/s]",
        ];
        assert_eq!(all(&lines), [(0.0, false), (50.0, false)]);
    }

    #[test]
    fn redrawn_line_is_read_before_it_ends() {
        assert_eq!(all(&[b"\r 1", b"0%", b"\r 20%"]), [(10.0, false), (20.0, false)]);
    }

    #[test]
    fn coloured_bar_is_read() {
        assert_eq!(all(&[b"\x1b[32m[####    ]\x1b[0m 50%\n"]), [(50.0, false)]);
    }

    proptest! {
        #[test]
        fn hostile_output_never_yields_progress_outside_of_its_range(output in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = ProgressParser::auto();
            if let Some(update) = parser.push(&output) {
                prop_assert!((0.0..=100.0).contains(&update.percent));
            }
        }
    }
}
