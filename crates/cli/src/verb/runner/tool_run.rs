//! Runs a tool to its end.

use super::stop_signal::StopSignal;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::{Instant, sleep, timeout};

/// Maximum number of bytes that are stored of each output stream.
const MAX_OUTPUT_LEN: usize = 1024 * 1024;
/// First and longest delay between two checks whether the tool has exited.
const CHECK_INTERVALS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(50)];
/// Maximum time that the rest of the output may take to arrive after the exit of the tool. A descendant may keep the
/// pipe open.
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
}

/// The end of a tool.
#[derive(Debug)]
pub(super) enum ToolEnd {
    /// The tool succeeded.
    Done(ToolOutput),
    /// The tool ended with a failure or could not be started. `why` gives the reason.
    Failed { why: String, output: ToolOutput },
    /// The tool was killed, so it may have done only a part of its work. `why` gives the reason.
    CutOff { why: String, output: ToolOutput },
    /// A stop was requested before the tool ended, and the tool was killed.
    Stopped { output: ToolOutput },
}

/// Runs a tool with an empty standard input. If `stop` is given, a requested stop kills the tool.
pub(super) async fn run_tool(
    words: &[String],
    options: ToolOptions,
    stop: Option<&mut StopSignal>,
) -> ToolEnd {
    let Some((program, arguments)) = words.split_first() else {
        return failed("the command is empty".to_owned());
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return failed(format!("{program} could not be started: {error}")),
    };
    let stdout = child.stdout.take().map(|pipe| collect(pipe, options.shows_output.then(io::stdout)));
    let stderr = child.stderr.take().map(|pipe| collect(pipe, options.shows_output.then(io::stderr)));
    let ended = until_end(&mut child, options.timeout, stop).await;
    let output = ToolOutput { stdout: text_of(stdout).await, stderr: text_of(stderr).await };
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

/// Reads a pipe in a thread, because a blocked read must not delay signals.
fn collect<W: Write + Send + 'static>(
    mut pipe: impl Read + Send + 'static,
    mut copy: Option<W>,
) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let (mut kept, mut buffer) = (Vec::new(), [0_u8; 16 * 1024]);
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default();
            let room = MAX_OUTPUT_LEN.saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            if let Some(copy) = &mut copy {
                // An error has no effect here, because the output is also stored.
                let _ = copy.write_all(bytes).and_then(|()| copy.flush());
            }
        }
        // The receiver no longer exists if the rest of the output took too long.
        let _ = sender.send(kept);
    });
    receiver
}

async fn text_of(pipe: Option<Receiver<Vec<u8>>>) -> String {
    let Some(pipe) = pipe else { return String::new() };
    match timeout(DRAIN_TIMEOUT, pipe).await {
        Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    }
}

fn failed(why: String) -> ToolEnd {
    ToolEnd::Failed { why, output: ToolOutput::default() }
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

    async fn run(script: &str, options: ToolOptions) -> ToolEnd {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run_tool(&words, options, None).await
    }

    #[tokio::test]
    async fn tool_has_no_input_and_both_outputs_are_kept() {
        let ToolEnd::Done(output) = run("cat; echo out; echo err >&2", QUICK).await else { panic!() };
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    }

    #[tokio::test]
    async fn failure_says_how_the_tool_ended_with_its_last_words() {
        for (script, expected) in [
            ("echo 'no such session' >&2; exit 3", "/bin/sh exited with code 3: no such session"),
            ("echo out; exit 1", "/bin/sh exited with code 1: out"),
        ] {
            let ToolEnd::Failed { why, .. } = run(script, QUICK).await else { panic!("{script}") };
            assert_eq!(why, expected);
        }
        let ToolEnd::CutOff { why, .. } = run("kill -9 $$", QUICK).await else { panic!() };
        assert_eq!(why, "/bin/sh was killed by signal 9");
        let ToolEnd::Failed { why, .. } = run_tool(&["/nowhere/tool".to_owned()], QUICK, None).await else {
            panic!()
        };
        assert!(why.starts_with("/nowhere/tool could not be started"), "{why}");
    }

    #[tokio::test]
    async fn slow_tool_is_killed_at_its_time_limit_and_its_output_is_kept() {
        let options = ToolOptions { timeout: Duration::from_millis(300), ..QUICK };
        let ToolEnd::CutOff { why, output } = run("echo begun; exec sleep 60", options).await else {
            panic!()
        };
        assert!(why.contains("did not end within"), "{why}");
        assert_eq!(output.stdout, "begun\n");
    }

    #[tokio::test]
    async fn descendant_that_keeps_the_output_open_does_not_delay_the_end_for_long() {
        let began = Instant::now();
        let ToolEnd::Done(_) = run("sleep 30 & echo x", QUICK).await else { panic!() };
        assert!(began.elapsed() < Duration::from_secs(15));
    }
}
