//! Runs a tool to its end.

use super::id_search::IdSearch;
use super::state_rules::SessionPattern;
use super::stop_signal::StopSignal;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::{Instant, sleep, timeout};

/// Maximum number of bytes of each output stream that are stored.
const MAX_OUTPUT_LEN: usize = 1024 * 1024;
/// First and longest delay between two checks whether the tool has exited.
const CHECK_INTERVALS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(50)];
/// Maximum time to wait for the rest of the output after the exit of the tool. The wait needs a limit, because a
/// descendant of the tool may keep the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Options for the run of a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToolOptions {
    /// Maximum run time.
    pub(super) timeout: Duration,
    /// True if this program also prints the output of the tool.
    pub(super) shows_output: bool,
}

/// Output of a tool that has exited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ToolOutput {
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Number of bytes of standard output that are not part of `stdout`, because the output is too long.
    pub(super) unkept_len: u64,
    /// Id of a session, if the output was searched for an id and contains one. The whole output is searched, even if
    /// only a part of the output is stored.
    pub(super) session: Option<String>,
}

/// The end of a tool.
#[derive(Debug)]
pub(super) enum ToolEnd {
    /// The tool succeeded.
    Done(ToolOutput),
    /// The tool could not be started and has therefore done no work. `why` gives the reason.
    NotStarted { why: String },
    /// The tool ended with a failure. `why` gives the reason.
    Failed { why: String, output: ToolOutput },
    /// The tool was killed and may have done only a part of its work. `why` gives the reason.
    CutOff { why: String, output: ToolOutput },
    /// A stop was requested before the tool ended, and the tool was killed.
    Stopped { output: ToolOutput },
}

/// Runs a tool with an empty standard input. If `stop` is `Some`, a stop request kills the tool.
pub(super) async fn run_tool(
    words: &[String],
    options: ToolOptions,
    stop: Option<&mut StopSignal>,
) -> ToolEnd {
    run(words, options, stop, None).await
}

/// Runs a tool that creates a session, and searches its output for the session id. A stop request does not kill the
/// tool.
pub(super) async fn run_creation(words: &[String], options: ToolOptions, id: &SessionPattern) -> ToolEnd {
    run(words, options, None, Some(id)).await
}

async fn run(
    words: &[String],
    options: ToolOptions,
    stop: Option<&mut StopSignal>,
    id: Option<&SessionPattern>,
) -> ToolEnd {
    let Some((program, arguments)) = words.split_first() else {
        return ToolEnd::NotStarted { why: "the command is empty".to_owned() };
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            return ToolEnd::NotStarted { why: format!("{program} could not be started: {error}") };
        }
    };
    let stdout = child.stdout.take().map(|pipe| collect(pipe, options.shows_output.then(io::stdout), id));
    let stderr = child.stderr.take().map(|pipe| collect(pipe, options.shows_output.then(io::stderr), id));
    let ended = until_end(&mut child, options.timeout, stop).await;
    let (stdout, stderr) = (collected(stdout).await, collected(stderr).await);
    let session = stdout.session().or_else(|| stderr.session());
    let output =
        ToolOutput { stdout: stdout.text(), stderr: stderr.text(), unkept_len: stdout.unkept_len, session };
    match ended {
        RunOutcome::Exited(status) if status.success() => ToolEnd::Done(output),
        RunOutcome::Exited(status) => {
            let why = describe(program, status, &output);
            if status.code().is_some() {
                ToolEnd::Failed { why, output }
            } else {
                ToolEnd::CutOff { why, output }
            }
        }
        RunOutcome::TimedOut => {
            let why = format!("{program} did not end within {} s and was killed", options.timeout.as_secs());
            ToolEnd::CutOff { why, output }
        }
        RunOutcome::Stopped => ToolEnd::Stopped { output },
        RunOutcome::Unknown(error) => {
            ToolEnd::CutOff { why: format!("the end of {program} is unknown: {error}"), output }
        }
    }
}

/// Waits for the exit of a child without blocking the runtime.
pub(super) async fn exit_of(child: &mut Child) -> io::Result<ExitStatus> {
    let [mut interval, longest] = CHECK_INTERVALS;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(interval).await;
        interval = (interval * 2).min(longest);
    }
}

enum RunOutcome {
    Exited(ExitStatus),
    TimedOut,
    Stopped,
    Unknown(io::Error),
}

async fn until_end(child: &mut Child, limit: Duration, stop: Option<&mut StopSignal>) -> RunOutcome {
    let until = Instant::now() + limit;
    let stopped = async {
        match stop {
            Some(stop) => stop.requested().await,
            None => std::future::pending().await,
        }
    };
    let cut_off = tokio::select! {
        biased;
        status = exit_of(child) => {
            return match status {
                Ok(status) => RunOutcome::Exited(status),
                Err(error) => RunOutcome::Unknown(error),
            };
        }
        () = stopped => RunOutcome::Stopped,
        () = tokio::time::sleep_until(until) => RunOutcome::TimedOut,
    };
    // The kill fails only if the tool has already exited, and the wait then reports the exit.
    let _ = child.kill();
    match child.wait() {
        Ok(_) => cut_off,
        Err(error) => RunOutcome::Unknown(error),
    }
}

/// The output that has been read from a pipe so far.
#[derive(Clone, Debug, Default)]
struct Collected {
    /// First bytes.
    kept: Vec<u8>,
    /// Number of further bytes.
    unkept_len: u64,
    search: Option<IdSearch>,
}

impl Collected {
    fn push(&mut self, bytes: &[u8]) {
        let room = MAX_OUTPUT_LEN.saturating_sub(self.kept.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.kept.extend_from_slice(kept);
        let unkept = bytes.len().saturating_sub(kept.len());
        self.unkept_len = self.unkept_len.saturating_add(u64::try_from(unkept).unwrap_or(u64::MAX));
        if let Some(search) = &mut self.search {
            search.push(bytes);
        }
    }

    /// Returns the first bytes as text. A character whose end was not kept becomes a replacement character.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }

    fn session(&self) -> Option<String> {
        self.search.clone()?.finish()
    }
}

/// A thread that reads a pipe.
struct Collector {
    collected: Arc<Mutex<Collected>>,
    /// Receives a message when the pipe has ended.
    end: Receiver<()>,
}

/// Reads a pipe in a thread, because a blocked read must not delay signals.
fn collect<W: Write + Send + 'static>(
    mut pipe: impl Read + Send + 'static,
    mut copy: Option<W>,
    id: Option<&SessionPattern>,
) -> Collector {
    let (sender, end) = channel();
    let search = id.cloned().map(IdSearch::new);
    let collected = Arc::new(Mutex::new(Collected { search, ..Collected::default() }));
    let shared = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 16 * 1024];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default();
            shared.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
            if let Some(copy) = &mut copy {
                // Ignore an error, because the output is also stored.
                let _ = copy.write_all(bytes).and_then(|()| copy.flush());
            }
        }
        // The receiver no longer exists if the rest of the output took too long.
        let _ = sender.send(());
    });
    Collector { collected, end }
}

/// Returns the output of a pipe. If the pipe stays open, returns the output that has arrived.
async fn collected(collector: Option<Collector>) -> Collected {
    let Some(Collector { collected, end }) = collector else { return Collected::default() };
    // Ignore a timeout: a descendant of the tool may keep the pipe open, but the output of the tool itself has arrived.
    let _ = timeout(DRAIN_TIMEOUT, end).await;
    let collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
    collected.clone()
}

/// Describes the failure of a tool by the last line that the tool printed.
fn describe(program: &str, status: ExitStatus, output: &ToolOutput) -> String {
    const MAX_QUOTE_LEN: usize = 200;
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    let last =
        |text: &str| text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let quote = last(&output.stderr).or_else(|| last(&output.stdout));
    let quote = quote.map(|line| line.chars().take(MAX_QUOTE_LEN).collect::<String>());
    quote.map_or_else(|| format!("{program} {how}"), |line| format!("{program} {how}: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: ToolOptions = ToolOptions { timeout: Duration::from_secs(20), shows_output: false };

    async fn run_script(script: &str, options: ToolOptions) -> ToolEnd {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run_tool(&words, options, None).await
    }

    #[tokio::test]
    async fn tool_has_no_input_and_both_outputs_are_kept() {
        let ToolEnd::Done(output) = run_script("cat; echo out; echo err >&2", QUICK).await else { panic!() };
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    }

    #[tokio::test]
    async fn failure_contains_the_exit_code_and_the_last_line_of_the_tool() {
        for (script, expected) in [
            ("echo 'no such session' >&2; exit 3", "/bin/sh exited with code 3: no such session"),
            ("echo out; exit 1", "/bin/sh exited with code 1: out"),
        ] {
            let ToolEnd::Failed { why, .. } = run_script(script, QUICK).await else { panic!("{script}") };
            assert_eq!(why, expected);
        }
        let ToolEnd::CutOff { why, .. } = run_script("kill -9 $$", QUICK).await else { panic!() };
        assert_eq!(why, "/bin/sh was killed by signal 9");
        let nowhere = ["/nowhere/tool".to_owned()];
        let ToolEnd::NotStarted { why } = run_tool(&nowhere, QUICK, None).await else { panic!() };
        assert!(why.starts_with("/nowhere/tool could not be started"), "{why}");
    }

    #[tokio::test]
    async fn bytes_of_a_long_output_that_are_not_kept_are_counted() {
        let script = "head -c 3000000 /dev/zero | tr '\\0' x; echo";
        let ToolEnd::Done(output) = run_script(script, QUICK).await else { panic!() };
        assert_eq!((output.stdout.len(), output.unkept_len), (MAX_OUTPUT_LEN, 3_000_001 - 1024 * 1024));
    }

    #[tokio::test]
    async fn slow_tool_is_killed_at_its_time_limit_and_its_output_is_kept() {
        let options = ToolOptions { timeout: Duration::from_millis(300), ..QUICK };
        let ToolEnd::CutOff { why, output } = run_script("echo begun; exec sleep 60", options).await else {
            panic!()
        };
        assert!(why.contains("did not end within"), "{why}");
        assert_eq!(output.stdout, "begun\n");
    }

    #[tokio::test]
    async fn descendant_that_keeps_the_output_open_does_not_delay_the_end_for_long() {
        let began = Instant::now();
        let ToolEnd::Done(output) = run_script("sleep 30 & echo x", QUICK).await else { panic!() };
        assert!(began.elapsed() < Duration::from_secs(15));
        assert_eq!(output.stdout, "x\n", "the output before the end of the tool is kept");
    }

    #[tokio::test]
    async fn id_is_found_behind_much_output_and_while_a_descendant_keeps_the_output_open() {
        let pattern = SessionPattern::new(r"created: (\d+)").unwrap();
        for script in [
            "echo created: 77; sleep 30 &",
            "echo created: 77 >&2; sleep 30 &",
            "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo created: 77; exit 3",
        ] {
            let words = ["/bin/sh", "-c", script].map(str::to_owned);
            let (ToolEnd::Done(output) | ToolEnd::Failed { output, .. }) =
                run_creation(&words, QUICK, &pattern).await
            else {
                panic!("{script}")
            };
            assert_eq!(output.session.as_deref(), Some("77"), "{script}");
        }
    }
}
