//! The formats in which programs print progress.

use regex::{Captures, Regex};
use std::sync::LazyLock;
use std::time::Duration;

/// Maximum size in bytes of a compiled user pattern.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// Format in which progress is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgressFormat {
    /// Pattern that the user has written.
    Pattern,
    /// Escape sequence OSC 9;4. Programs use it to report progress to a terminal.
    Terminal,
    /// tqdm.
    Tqdm,
    /// `cargo build`.
    Cargo,
    /// Ninja.
    Ninja,
    /// Percentage in brackets at the end of a line, as pytest prints it.
    TrailingBracket,
    /// Percentage in brackets at the start of a line, as CMake and make print it.
    LeadingBracket,
    /// pip.
    Pip,
    /// curl.
    Curl,
    /// wget.
    Wget,
    /// rsync.
    Rsync,
    /// Steps of `docker build`.
    DockerBuild,
    /// Epochs of a machine-learning training.
    Epoch,
    /// A word such as `Progress` or `Downloaded` with a percentage or a counter.
    Labelled,
    /// A line that consists only of a bar and a percentage.
    Bar,
}

/// Progress value in one segment of the output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) format: ProgressFormat,
    /// Percentage from 0 to 100.
    pub(super) percent: f64,
    /// Remaining time, as estimated by the program.
    pub(super) eta: Option<Duration>,
    /// Label of the bar, if the format has one.
    pub(super) label: Option<String>,
}

/// Error in a pattern that the user has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressPatternError {
    /// The text is not a valid regular expression.
    #[error("the pattern is not a valid regular expression: {why}")]
    Invalid {
        /// Reason.
        why: String,
    },
    /// The pattern has no group for the progress.
    #[error("the pattern names neither a group `percent` nor the groups `done` and `total`")]
    NoGroup,
}

/// Compiles a user pattern. The pattern must contain the group `percent`, or the groups `done` and `total`.
pub(super) fn compile(text: &str) -> Result<Regex, ProgressPatternError> {
    let pattern = regex::RegexBuilder::new(text)
        .size_limit(MAX_PATTERN_SIZE)
        .build()
        .map_err(|error| ProgressPatternError::Invalid { why: error.to_string() })?;
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    let has = |name: &str| names.contains(&name);
    if has("percent") || (has("done") && has("total")) {
        Ok(pattern)
    } else {
        Err(ProgressPatternError::NoGroup)
    }
}

/// Reads the progress in a segment with a user pattern.
pub(super) fn read_with(pattern: &Regex, segment: &str) -> Option<Reading> {
    reading(ProgressFormat::Pattern, &pattern.captures(segment)?)
}

/// Reads the progress in a segment with the known formats. Returns `None` if the segment shows no progress.
pub(super) fn read(segment: &str) -> Option<Reading> {
    if !is_candidate(segment.as_bytes()) {
        return None;
    }
    FORMATS.iter().find_map(|(format, pattern)| reading(*format, &pattern.as_ref()?.captures(segment)?))
}

/// Reads the last OSC 9;4 sequence in a segment.
pub(super) fn read_terminal(segment: &[u8]) -> Option<Reading> {
    let start = memchr::memmem::rfind(segment, b"\x1b]9;4;1;")?;
    let digits = segment.get(start.saturating_add(8)..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let terminator = digits.get(end..)?;
    if !terminator.starts_with(b"\x07") && !terminator.starts_with(b"\x1b\\") {
        return None;
    }
    let percent: f64 = std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()?;
    (percent <= 100.0).then_some(Reading {
        format: ProgressFormat::Terminal,
        percent,
        eta: None,
        label: None,
    })
}

/// Returns true if the segment contains a percent sign or a counter such as `3/10` or `3 of 10`, or if it may be a row
/// of curl's progress table. Most lines are none of these, so they need no regular expression.
fn is_candidate(segment: &[u8]) -> bool {
    memchr::memchr2_iter(b'%', b'/', segment).any(|at| {
        at.checked_sub(1)
            .and_then(|before| segment.get(before))
            .is_some_and(|byte| byte.is_ascii_digit() || (segment.get(at) == Some(&b'%') && *byte == b' '))
    }) || memchr::memmem::find(segment, b" of ").is_some()
        || is_curl_table(segment)
}

/// Returns true if the segment may be a row of curl's progress table, which shows a percentage without a percent sign.
fn is_curl_table(segment: &[u8]) -> bool {
    segment.trim_ascii_start().first().is_some_and(u8::is_ascii_digit)
        && memchr::memchr_iter(b':', segment).nth(3).is_some()
}

fn reading(format: ProgressFormat, found: &Captures<'_>) -> Option<Reading> {
    let number = |name: &str| found.name(name)?.as_str().replace(',', "").parse::<f64>().ok();
    let percent = match (number("percent"), number("done"), number("total")) {
        (Some(percent), _, _) => percent,
        (None, Some(done), Some(total)) if total > 0.0 => done / total * 100.0,
        (None, Some(step), None) => {
            number("steps").filter(|steps| *steps > 0.0 && step <= *steps).map(|steps| {
                // A program prints the number of a step when the step starts, so only the earlier steps are done.
                (step - 1.0) / steps * 100.0
            })?
        }
        (None, _, _) => return None,
    };
    let label = found.name("label").map(|label| label.as_str().trim().to_owned());
    (0.0..=100.0).contains(&percent).then(|| Reading {
        format,
        percent,
        eta: found.name("eta").and_then(|eta| duration(eta.as_str())),
        label: label.filter(|label| !label.is_empty()),
    })
}

/// Reads a remaining time such as `1:02:03`, `02:03`, `55s`, `1m 5s` or `2h`.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    if text.contains(':') {
        for part in text.split(':') {
            seconds = seconds.checked_mul(60)?.checked_add(part.trim().parse().ok()?)?;
        }
        return Some(Duration::from_secs(seconds));
    }
    for part in text.split_whitespace() {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
    }
    Some(Duration::from_secs(seconds))
}

const ACTIVITIES: &str = "(?i:progress|percent|complete[d]?|done|download(?:ing|ed)|upload(?:ing|ed)|process(?:ing|ed)|\
                          cop(?:ying|ied)|build(?:ing)?|built|install(?:ing|ed)|load(?:ing|ed)|receiving objects|\
                          resolving deltas|compressing objects|counting objects|writing objects|unpacking objects|\
                          updating files|checking out files|filtering content|verifying|extracting|scanning|indexing|\
                          importing|exporting|migrating|encoding|transcoding|rendering|converting|fetching|syncing)";

static FORMATS: LazyLock<Vec<(ProgressFormat, Option<Regex>)>> = LazyLock::new(|| {
    let activity = ACTIVITIES;
    let forms: [(ProgressFormat, String); 17] = [
        (
            ProgressFormat::Tqdm,
            r"^(?:(?P<label>[^%|]*?):? )?\s*(?P<percent>\d{1,3})%\|[^|]*\| *[\d.]+\w?/[\d.]+\w? \[(?:\d+:)*\d+:\d+<(?P<eta>(?:\d+:)+\d+|\?)"
                .to_owned(),
        ),
        (ProgressFormat::Cargo, r"^\s*Building \[[=> -]*\] (?P<done>\d+)/(?P<total>\d+)\b".to_owned()),
        (ProgressFormat::Ninja, r"^\[(?P<done>\d+)/(?P<total>\d+)\] ".to_owned()),
        (ProgressFormat::LeadingBracket, r"^\[ {0,2}(?P<percent>\d{1,3})%\] ".to_owned()),
        (ProgressFormat::TrailingBracket, r"\[ {0,2}(?P<percent>\d{1,3})%\]\s*$".to_owned()),
        (
            ProgressFormat::Pip,
            r"^\s*[━╸╺ -]+ (?P<done>[\d.]+)/(?P<total>[\d.]+) [kMG]?i?B [\d.]+ [kMG]?i?B/s(?: eta (?P<eta>[\d:]+))?"
                .to_owned(),
        ),
        (
            ProgressFormat::Curl,
            r"^ {0,2}(?P<percent>\d{1,3}) +[\d.]+[kMGTP]? +\d{1,3} +[\d.]+[kMGTP]? +\d{1,3} +[\d.]+[kMGTP]? +[\d.]+[kMGTP]? +[\d.]+[kMGTP]? +[\d:-]+ +[\d:-]+ +(?P<eta>[\d:-]+) +[\d.]+[kMGTP]?\s*$"
                .to_owned(),
        ),
        (ProgressFormat::Curl, r"^[#= -]+\s+(?P<percent>\d{1,3}\.\d)%\s*$".to_owned()),
        (
            ProgressFormat::Wget,
            r"^(?P<label>\S.*?) +(?P<percent>\d{1,3})%\[[=> +]*\] +[\d.,]+[KMGT]? +\S+(?: +eta (?P<eta>[\dsmhd ]+?)| +in \S+)?\s*$"
                .to_owned(),
        ),
        (
            ProgressFormat::Wget,
            r"^ *\d+K [. ]+ +(?P<percent>\d{1,3})% +[\d.]+[KMGT]?(?: (?P<eta>\d+[smhd]\d*[smhd]?)|=\S+)\s*$".to_owned(),
        ),
        (
            ProgressFormat::Rsync,
            r"^ *[\d,]+ +(?P<percent>\d{1,3})% +[\d.]+[kMGT]?B/s +(?P<eta>\d+:\d+:\d+)".to_owned(),
        ),
        (ProgressFormat::DockerBuild, r"^#\d+ \[ *(?:[\w.-]+ +)?(?P<done>\d+)/(?P<steps>\d+)\] ".to_owned()),
        (ProgressFormat::DockerBuild, r"^Step (?P<done>\d+)/(?P<steps>\d+) : ".to_owned()),
        (ProgressFormat::Epoch, r"^\s*(?i:epoch)[ :\[]+(?P<done>\d+)\s*(?:/|of)\s*(?P<steps>\d+)".to_owned()),
        (
            ProgressFormat::Labelled,
            format!(r"^\W{{0,4}}(?:remote: )?(?P<label>{activity})\b[^%\d]{{0,40}}(?P<percent>\d{{1,3}}(?:\.\d+)?) ?%(?:[^\w%]|$)"),
        ),
        (
            ProgressFormat::Labelled,
            format!(r"^\W{{0,4}}(?P<label>{activity}):? \(?(?P<done>\d+)(?:/| of | / )(?P<total>\d+)\b"),
        ),
        (
            ProgressFormat::Bar,
            r"^[\s\[\]|#=>\-.█▉▊▋▌▍▎▏░▒▓■□━╸]*(?P<percent>\d{1,3}(?:\.\d+)?) ?%[\s\[\]|#=>\-.█▉▊▋▌▍▎▏░▒▓■□━╸]*$"
                .to_owned(),
        ),
    ];
    forms.into_iter().map(|(format, pattern)| (format, Regex::new(&pattern).ok())).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        let broken: Vec<_> =
            FORMATS.iter().filter(|(_, pattern)| pattern.is_none()).map(|(format, _)| format).collect();
        assert_eq!(broken, Vec::<&ProgressFormat>::new());
    }

    #[test]
    fn formats_of_programs_are_read() {
        use ProgressFormat::*;
        for (segment, format, percent, eta) in [
            (" 45%|####      | 45/100 [00:10<00:12,  4.40it/s]", Tqdm, 45.0, Some(12)),
            ("train: 100%|████| 1.2k/1.2k [1:00:10<00:00,  4.40it/s]", Tqdm, 100.0, Some(0)),
            ("  0%|          | 0/100 [00:00<?, ?it/s]", Tqdm, 0.0, None),
            ("    Building [=====>      ] 12/40: serde, tokio(build.rs)", Cargo, 30.0, None),
            ("[12/40] Building CXX object a.o", Ninja, 30.0, None),
            ("[ 62%] Building CXX object src/a.cc.o", LeadingBracket, 62.0, None),
            ("tests/test_login.py .F..FsxEF                      [ 62%]", TrailingBracket, 62.0, None),
            ("     ━━━━━━━━━━━━╸━━━━━━━━ 30.0/60.0 MB 3.4 MB/s eta 0:00:12", Pip, 50.0, Some(12)),
            (
                " 45 1000M   45  450M    0     0  10.0M      0  0:01:40  0:00:45  0:00:55 10.0M",
                Curl,
                45.0,
                Some(55),
            ),
            ("#################                   45.1%", Curl, 45.1, None),
            ("debian.iso     45%[=====>        ] 450.00M  10.0MB/s    eta 1m 5s ", Wget, 45.0, Some(65)),
            ("  450,000,000  45%   10.00MB/s    0:00:55 (xfr#3, to-chk=7/12)", Rsync, 45.0, Some(55)),
            ("#12 [ 3/10] RUN make", DockerBuild, 20.0, None),
            ("#12 [builder 3/10] RUN make", DockerBuild, 20.0, None),
            ("Step 1/4 : FROM debian", DockerBuild, 0.0, None),
            ("Epoch 3/10", Epoch, 20.0, None),
            ("Progress: 40%", Labelled, 40.0, None),
            ("Receiving objects:  45% (450/1000), 1.2 MiB | 3.4 MiB/s", Labelled, 45.0, None),
            ("remote: Counting objects:  45% (450/1000)", Labelled, 45.0, None),
            ("Downloaded 3/4", Labelled, 75.0, None),
            ("Processed 3 of 4 files", Labelled, 75.0, None),
            ("[#####     ] 50%", Bar, 50.0, None),
            (" 7.5%", Bar, 7.5, None),
        ] {
            let found = read(segment).unwrap_or_else(|| panic!("{segment:?} is not read"));
            assert_eq!((found.format, found.eta), (format, eta.map(Duration::from_secs)), "{segment}");
            assert!((found.percent - percent).abs() < 1e-9, "{segment}: {}", found.percent);
        }
    }

    #[test]
    fn text_that_only_mentions_a_number_is_no_progress() {
        for segment in [
            "100% sure",
            "I am 45% done with this",
            "coverage: 87%",
            "TOTAL      120     12    90%",
            "Progress: 400%",
            "2026/11/24 12:00:01 started",
            "http://host/1/2",
            "3/10 of the rows are new",
            "Downloading 3 files",
            "load average 10%% of 3",
            "Epochs are 3/10 seconds long",
            "cpu 45% mem 12%",
        ] {
            assert_eq!(read(segment), None, "{segment}");
        }
    }

    #[test]
    fn sequence_for_terminals_is_read_once_it_is_complete() {
        let percent = |segment: &[u8]| read_terminal(segment).map(|found| found.percent);
        assert_eq!(percent(b"\x1b]9;4;1;45\x07text"), Some(45.0));
        assert_eq!(percent(b"\x1b]9;4;1;10\x07\x1b]9;4;1;45\x1b\\"), Some(45.0));
        for other in [&b"\x1b]9;4;1;45"[..], b"\x1b]9;4;1;450\x07", b"\x1b]9;4;3;\x07", b"\x1b]9;4;0;0\x07"] {
            assert_eq!(percent(other), None, "{other:?}");
        }
    }

    #[test]
    fn pattern_of_the_user_needs_a_group_for_the_progress() {
        let pattern = compile(r"loss=[\d.]+ step (?P<done>\d+) of (?P<total>\d+)").unwrap();
        let found = read_with(&pattern, "loss=0.3 step 25 of 50").unwrap();
        assert!((found.percent - 50.0).abs() < 1e-9);
        assert_eq!(compile("step").unwrap_err(), ProgressPatternError::NoGroup);
        assert!(matches!(compile("("), Err(ProgressPatternError::Invalid { .. })));
    }
}
