//! Measures by how much the search of a large output slows down the command that writes it.

use super::Found;
use crate::Failure;
use crate::figures::{PARSING_END, PARSING_PROGRESS, PARSING_TESTS, PARSING_WATCH};
use crate::manager_fixture::{ManagerFixture, part};
use crate::sample::Sample;
use longhaul_wire::api::{CommandRequest, LaunchRequest, StreamChoice, WatchRequest};
use std::path::Path;
use std::time::Instant;

const GIBIBYTE: u64 = 1 << 30;
/// A pattern like the default pattern of the setting `watch.default`.
const ERRORS: &str =
    r"^(?i:error|fatal|panic|traceback)\b|^thread '.*' panicked at |^[\w.]+(Error|Exception)\b";

/// Times of the runs of one kind, in milliseconds.
#[derive(Default)]
struct Times {
    /// Times from the start of the command to its exit.
    command: Sample,
    /// Times from the launch to the end of the process. The processing of test results may delay the end.
    whole: Sample,
}

/// Alternates runs of each kind, so that other load on the machine affects all kinds equally.
pub(super) fn ratios(program: &Path, quick: bool) -> Result<Found, Failure> {
    let (bytes, rounds) = if quick { (GIBIBYTE / 8, 3) } else { (GIBIBYTE, 9) };
    let fixture = ManagerFixture::adjusted(program, 8, &[("LONGHAUL_WATCH_DEFAULT", "")])?;
    let words = part("flood", &[&bytes.to_string()])?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut api = fixture.api()?;
    let command = api.command(&words)?;
    let requests = [
        request(&command, "custom", |command| command.report = Some("off".to_owned())),
        request(&command, "custom", |command| command.watch = vec![errors()]),
        request(&command, "test_suite", |_| {}),
        request(&command, "custom", |command| command.progress = Some("auto".to_owned())),
    ];
    let mut times = [(); 4].map(|()| Times::default());
    for _ in 0..rounds {
        for (request, times) in requests.iter().zip(&mut times) {
            let began = Instant::now();
            let process = api.submit(request)?;
            let ended = api.wait(&process.id, "ended")?;
            times.whole.add_span(began.elapsed());
            if (ended.exit_code, ended.output_bytes) != (Some(0), Some(bytes)) {
                let text =
                    format!("{bytes} bytes ended {} with {:?} bytes", ended.status, ended.output_bytes);
                return Err(text.into());
            }
            times.command.add(f64::from(u32::try_from(ended.duration_ms.unwrap_or(0))?));
        }
    }
    let [plain, watch, tests, progress] = times;
    let base = plain.command.median()?;
    Ok(vec![
        (PARSING_WATCH, watch.command.median()? / base),
        (PARSING_TESTS, tests.command.median()? / base),
        (PARSING_PROGRESS, progress.command.median()? / base),
        (PARSING_END, tests.whole.median()? / plain.whole.median()?),
    ])
}

/// Returns a launch of the command with other settings.
fn request(command: &CommandRequest, kind: &str, change: impl FnOnce(&mut CommandRequest)) -> LaunchRequest {
    let mut command = command.clone();
    change(&mut command);
    LaunchRequest { command: Some(command), kind: Some(kind.to_owned()), ..LaunchRequest::default() }
}

fn errors() -> WatchRequest {
    let stream = Some(StreamChoice::Stderr);
    WatchRequest { name: "error".to_owned(), pattern: ERRORS.to_owned(), stream }
}
