//! The log of a manager.

mod rate_limit;

use rate_limit::RepeatFilter;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

/// A log that is larger at a start is put aside.
const MAX_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// So much of the end of a log is read for an error message.
const TAIL: u64 = 8 * 1024;

/// Makes this file the standard error of the process, so that a panic is found in it as well.
///
/// A link is followed where somebody named the file, and never in a state directory.
pub(crate) fn redirect(path: &Path, state_dir: &Path) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| found.len() > MAX_LOG_BYTES) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        std::fs::rename(path, aside)?;
    }
    let flags = if path.parent() == Some(state_dir) { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(flags).open(path)?;
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// What is held while a manager tells what happens.
pub(crate) struct LogGuard {
    #[cfg(feature = "otel")]
    _telemetry: Option<crate::telemetry::Telemetry>,
}

/// Writes what happens to standard error; more of it the more often `-v` was given.
pub(crate) fn begin(verbosity: u8) -> LogGuard {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| LossyWriter(io::stderr()))
        // They would go to standard error as well, by a way that panics when it is broken.
        .log_internal_errors(false)
        // What began with a request is told with its end: how it was answered, and how long that took.
        .with_span_events(FmtSpan::CLOSE)
        .event_format(RepeatFilter::of(tracing_subscriber::fmt::format().with_target(verbosity > 0)))
        .with_filter(told(verbosity));
    let all = tracing_subscriber::registry().with(log);
    #[cfg(feature = "otel")]
    let (telemetry, all) = {
        let (telemetry, spans) = crate::telemetry::Telemetry::begin().unzip();
        (telemetry, all.with(spans))
    };
    // Only a program around this library can have set one before, and then that is the one it wants.
    let _ = tracing::subscriber::set_global_default(all);
    LogGuard {
        #[cfg(feature = "otel")]
        _telemetry: telemetry,
    }
}

/// What is told. The library for agents speaks of every connection, and warns of clients that merely leave.
fn told(verbosity: u8) -> Targets {
    match verbosity {
        0 => Targets::new().with_default(LevelFilter::INFO).with_target("rmcp", LevelFilter::ERROR),
        1 => Targets::new().with_default(LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::TRACE),
    }
}

/// Loses what cannot be written: a full disk or a reader that went away must not end what is merely told.
struct LossyWriter<W>(W);

impl<W: Write> Write for LossyWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The last lines of a log, of those behind an offset.
pub(crate) fn last_lines(path: &Path, offset: u64, most: usize) -> Vec<String> {
    let tail = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        // A log that was put aside begins anew.
        let offset = if offset > end { 0 } else { offset };
        file.seek(SeekFrom::Start(offset.max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = tail().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.len().saturating_sub(most);
    lines.into_iter().skip(begin).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_for_agents_tells_only_of_errors_unless_more_is_wanted() {
        use tracing::Level;
        for target in ["rmcp", "rmcp::service"] {
            assert!(
                !told(0).would_enable(target, &Level::WARN) && told(0).would_enable(target, &Level::ERROR)
            );
            assert!(told(1).would_enable(target, &Level::DEBUG));
        }
        for target in ["longhaul", "longhaul_mcp::serve", "longhaul_engine"] {
            assert!(
                told(0).would_enable(target, &Level::INFO) && !told(0).would_enable(target, &Level::DEBUG)
            );
        }
    }

    #[test]
    fn last_lines_are_those_of_the_present_start() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("log");
        std::fs::write(&path, "old\none\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&path, 4, 2), ["two", "three"]);
        assert_eq!(last_lines(&path, 4, 9), ["one", "two", "three"]);
        assert_eq!(last_lines(&path, 1_000, 1), ["three"]);
        assert!(last_lines(&top.path().join("none"), 0, 5).is_empty());
    }
}
