//! The log of a manager.

mod rate_limit;

use rate_limit::RepeatFilter;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;

/// Log size in bytes above which a manager renames the log to `.1` when it starts.
const MAX_LOG_BYTES: u64 = 10 * 1024 * 1024;

/// Redirects the stderr of this program to a file, so that the file also contains panic messages.
///
/// If the path is a symbolic link, the link is followed, except directly inside the state directory.
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

/// Keeps the export of telemetry data running. Dropping the value ends the export.
pub(crate) struct LogGuard {
    #[cfg(feature = "otel")]
    _telemetry: Option<crate::telemetry::Telemetry>,
}

/// Starts logging to stderr. `verbosity` is the number of `-v` flags.
pub(crate) fn begin(verbosity: u8) -> LogGuard {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| LossyWriter(io::stderr()))
        // The error output of the tracing library is switched off, because the library writes to stderr and panics if
        // stderr is broken.
        .log_internal_errors(false)
        // A span covers one request. The end of the span is logged with the result and the duration.
        .with_span_events(FmtSpan::CLOSE)
        .event_format(RepeatFilter::of(tracing_subscriber::fmt::format().with_target(verbosity > 0)))
        .with_filter(targets(verbosity));
    let all = tracing_subscriber::registry().with(log);
    #[cfg(feature = "otel")]
    let (telemetry, all) = {
        let (telemetry, spans) = crate::telemetry::Telemetry::begin().unzip();
        (telemetry, all.with(spans))
    };
    // This call fails only if a program that uses this library has set its own subscriber. The subscriber of the
    // program then stays in use.
    let _ = tracing::subscriber::set_global_default(all);
    LogGuard {
        #[cfg(feature = "otel")]
        _telemetry: telemetry,
    }
}

/// Returns the log filter for a number of `-v` flags. Without `-v`, warnings from the MCP library are left out, because
/// this library logs each connection and each client that disconnects.
fn targets(verbosity: u8) -> Targets {
    match verbosity {
        0 => Targets::new().with_default(LevelFilter::INFO).with_target("rmcp", LevelFilter::ERROR),
        1 => Targets::new().with_default(LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::TRACE),
    }
}

/// Writer that ignores errors, because a full disk or a closed pipe must not stop the program that logs.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcp_library_logs_only_errors_by_default() {
        use tracing::Level;
        for target in ["rmcp", "rmcp::service"] {
            assert!(
                !targets(0).would_enable(target, &Level::WARN)
                    && targets(0).would_enable(target, &Level::ERROR)
            );
            assert!(targets(1).would_enable(target, &Level::DEBUG));
        }
        for target in ["longhaul", "longhaul_mcp::serve", "longhaul_engine"] {
            assert!(
                targets(0).would_enable(target, &Level::INFO)
                    && !targets(0).would_enable(target, &Level::DEBUG)
            );
        }
    }
}
