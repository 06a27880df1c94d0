//! Selects one progress value from all values that a command prints.

use super::format::{self, ProgressFormat, ProgressPatternError, Reading};
use super::line_states::LineStates;
use crate::failure::Stream;
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
/// The parser follows the first bar that appears until this bar is complete, and ignores bars with other formats or
/// labels during this time. It then follows the next bar as a new phase. The percentage decreases only when a new phase
/// starts.
///
/// # Examples
///
/// ```
/// use longhaul_insight::failure::Stream;
/// use longhaul_insight::progress::ProgressParser;
///
/// let mut parser = ProgressParser::auto();
/// let update = parser.push(Stream::Stderr, b"\r 10%|#    | 1/10 [00:01<00:09]\r 20%|##   | 2/10 [00:02<00:08]").unwrap();
/// assert_eq!(update.percent, 10.0);
/// assert_eq!(parser.quiet().unwrap().percent, 20.0);
/// assert_eq!(parser.push(Stream::Stdout, b"I am 100% sure\n"), None);
/// ```
#[derive(Clone, Debug)]
pub struct ProgressParser {
    pattern: Option<Regex>,
    stdout: LineStates,
    stderr: LineStates,
    bar: BarChoice,
}

/// The choice of the bar to follow.
#[derive(Clone, Debug, Default)]
struct BarChoice(Option<FollowedBar>);

/// Changes that the bytes of one call caused.
#[derive(Clone, Copy, Debug, Default)]
struct BarChange {
    is_changed: bool,
    is_new_phase: bool,
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
        Self {
            pattern: None,
            stdout: LineStates::default(),
            stderr: LineStates::default(),
            bar: BarChoice::default(),
        }
    }

    /// Creates a parser for a user pattern. The pattern must contain the group `percent`, or the groups `done` and
    /// `total`.
    ///
    /// # Errors
    /// Returns [`ProgressPatternError`] if the pattern is invalid or lacks these groups.
    pub fn with_pattern(pattern: &str) -> Result<Self, ProgressPatternError> {
        Ok(Self { pattern: Some(format::compile(pattern)?), ..Self::auto() })
    }

    /// Drops unfinished lines, because output is missing before the next bytes.
    pub fn interrupt(&mut self) {
        self.stdout = LineStates::default();
        self.stderr = LineStates::default();
    }

    /// Reads the next bytes of a stream. Returns the latest progress if it changed.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) -> Option<ProgressUpdate> {
        let Self { pattern, stdout, stderr, bar } = self;
        let segments = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        let mut change = BarChange::default();
        segments.push(bytes, |segment| bar.read(pattern.as_ref(), segment, &mut change));
        bar.update(change)
    }

    /// Reads unfinished lines, because the command has written nothing for a moment. Returns the latest progress if it
    /// changed.
    pub fn quiet(&mut self) -> Option<ProgressUpdate> {
        let Self { pattern, stdout, stderr, bar } = self;
        let mut change = BarChange::default();
        for segments in [stdout, stderr] {
            bar.read(pattern.as_ref(), segments.unfinished(), &mut change);
        }
        bar.update(change)
    }
}

impl BarChoice {
    /// Reads one segment.
    fn read(&mut self, pattern: Option<&Regex>, segment: &[u8], change: &mut BarChange) {
        let Some(reading) = read(pattern, segment) else { return };
        match &mut self.0 {
            Some(bar)
                if bar.shows(&reading) && (reading.percent >= bar.percent || bar.percent < FINISHED) =>
            {
                bar.foreign = 0;
                // Ignore a lower value before the bar is complete. Programs that print one bar per file cause such
                // values.
                if reading.percent > bar.percent || reading.eta != bar.eta {
                    change.is_changed = true;
                    bar.percent = bar.percent.max(reading.percent);
                    bar.eta = reading.eta;
                }
            }
            Some(bar) if bar.percent < FINISHED && bar.foreign < MAX_FOREIGN_READINGS => {
                bar.foreign = bar.foreign.saturating_add(1);
            }
            followed @ (Some(_) | None) => {
                change.is_changed = true;
                change.is_new_phase |= followed.is_some();
                let Reading { format, percent, eta, label } = reading;
                *followed = Some(FollowedBar { format, label, percent, eta, foreign: 0 });
            }
        }
    }

    /// Returns the state of the bar if it changed.
    fn update(&self, change: BarChange) -> Option<ProgressUpdate> {
        let bar = self.0.as_ref().filter(|_| change.is_changed)?;
        Some(ProgressUpdate { percent: bar.percent, eta: bar.eta, is_new_phase: change.is_new_phase })
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

    /// Returns the progress that the parser reads from pieces of output. The command writes nothing for a moment after
    /// each piece.
    fn all(pieces: &[&[u8]]) -> Vec<(f64, bool)> {
        let mut parser = ProgressParser::auto();
        let mut found = Vec::new();
        for piece in pieces {
            let updates = [parser.push(Stream::Stdout, piece), parser.quiet()];
            found.extend(updates.into_iter().flatten().map(|update| (update.percent, update.is_new_phase)));
        }
        found
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
        assert_eq!(all(&[b"\r 10%", b"\r 20%"]), [(10.0, false), (20.0, false)]);
    }

    #[test]
    fn line_that_has_not_ended_is_read_only_when_the_command_is_quiet() {
        let mut parser = ProgressParser::auto();
        assert_eq!(parser.push(Stream::Stdout, b"Downloaded 3/4"), None);
        assert_eq!(parser.push(Stream::Stdout, b"0\n").map(|update| update.percent), Some(7.5));
        assert_eq!(parser.push(Stream::Stderr, b"\rDownloaded 20/40"), None);
        assert_eq!(parser.quiet().map(|update| update.percent), Some(50.0));
        assert_eq!(parser.quiet(), None);
    }

    #[test]
    fn streams_do_not_mix_and_a_gap_ends_a_line() {
        let mut parser = ProgressParser::auto();
        assert_eq!(parser.push(Stream::Stdout, b"Progress: 4"), None);
        assert_eq!(parser.push(Stream::Stderr, b"0%\n").map(|update| update.percent), Some(0.0));
        parser.interrupt();
        assert_eq!(parser.push(Stream::Stdout, b"5%\n").map(|update| update.percent), Some(5.0));
    }

    #[test]
    fn coloured_bar_is_read() {
        assert_eq!(all(&[b"\x1b[32m[####    ]\x1b[0m 50%\n"]), [(50.0, false)]);
    }

    proptest! {
        #[test]
        fn hostile_output_never_yields_progress_outside_of_its_range(output in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut parser = ProgressParser::auto();
            for update in [parser.push(Stream::Stdout, &output), parser.quiet()].into_iter().flatten() {
                prop_assert!((0.0..=100.0).contains(&update.percent));
            }
        }
    }
}
