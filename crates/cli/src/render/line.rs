//! Formats one process as one line.

use super::amount::{after, rough};
use super::test_run::test_counts;
use crate::status::ParsedStatus;
use crate::value::SignalArg;
use longhaul_view::clean_label;
use longhaul_wire::api::{ListeningPortView, ProcessView};

/// Length of the shortened id that people see, in characters.
const SHORT_ID_LEN: usize = 8;

/// Returns the shortened id that people see: the first characters of the full id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID_LEN).unwrap_or(id)
}

/// Returns the shortened id and the title of a process.
pub(crate) fn label(process: &ProcessView) -> String {
    match title(process) {
        Some(name) => format!("{} {}", short(&process.id), clean_label(name)),
        None => short(&process.id).to_owned(),
    }
}

/// Returns the title of a process: the name of the process if it has one, otherwise the name of the runner that built
/// the command if there is one, otherwise the file name of the program.
pub(crate) fn title(process: &ProcessView) -> Option<&str> {
    let program = || process.command.first().map(|program| base(program));
    let runner = process.runner.as_deref();
    process.name.as_deref().or(runner).or_else(program).filter(|name| !name.is_empty())
}

/// Returns the words of the command without the plan of a runner, because people do not need to read the plan.
pub(crate) fn command_words(process: &ProcessView) -> &[String] {
    let words = process.command.as_slice();
    match words.split_last() {
        Some((_, before))
            if process.runner.is_some() && before.last().is_some_and(|word| word == "runner") =>
        {
            before
        }
        Some(_) | None => words,
    }
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(program)
}

/// Returns a few words for a table cell: the reason for the status, and the conditions. Returns `None` if there is
/// nothing to add to the status.
pub(crate) fn few_words(process: &ProcessView) -> Option<String> {
    let words = match ParsedStatus::of(process) {
        ParsedStatus::Pending => {
            let why = process.pending.as_ref().map(|pending| pending.why.clone());
            match (why.as_deref(), &process.key) {
                (Some(why @ ("queued" | "held")), Some(key)) => Some(format!("{why} ({key})")),
                (Some("no_node"), _) => Some("no node".to_owned()),
                _ => why,
            }
        }
        ParsedStatus::Failed => {
            exit_words(process).or_else(|| process.error.clone()).or_else(|| process.reason.clone())
        }
        ParsedStatus::Interrupted => {
            let why = process.reason.clone().or_else(|| process.error.clone());
            why.map(|why| format!("{why}{}", late_words(process)))
        }
        ParsedStatus::Running => {
            process.ready.map(|ready| if ready { "ready".to_owned() } else { "not ready".to_owned() })
        }
        ParsedStatus::Starting
        | ParsedStatus::Paused
        | ParsedStatus::Stopping
        | ParsedStatus::Completed
        | ParsedStatus::Timeout
        | ParsedStatus::Cancelled
        | ParsedStatus::OtherLive
        | ParsedStatus::OtherEnded => None,
    };
    let tests = process.tests.as_ref().map(test_counts);
    let all: Vec<String> = words.into_iter().chain(tests).chain(process.conditions.iter().cloned()).collect();
    (!all.is_empty()).then(|| clean_label(&all.join(", ")).into_owned())
}

/// Formats the network addresses on which a process and its descendants listen.
pub(super) fn ports(listening: &[ListeningPortView]) -> String {
    let address = |listening: &ListeningPortView| match listening.address.contains(':') {
        true => format!("[{}]:{}", listening.address, listening.port),
        false => format!("{}:{}", listening.address, listening.port),
    };
    listening.iter().map(address).collect::<Vec<_>>().join(", ")
}

/// Formats how a process ended.
pub(crate) fn ended_line(process: &ProcessView, unicode: bool) -> String {
    let standing = ParsedStatus::of(process);
    let mut line = format!("{} {} {}", label(process), standing.glyph(unicode), clean_label(&process.status));
    let tests = process.tests.as_ref().map(test_counts);
    let words: Vec<String> = how_it_ended(process).into_iter().chain(tests).collect();
    if !words.is_empty() {
        line.push_str(&format!(" ({})", clean_label(&words.join("; "))));
    }
    if let Some(after) = after(process.duration_ms, process.completed_at_precision.as_deref()) {
        line.push_str(&format!(" {after}"));
    }
    line
}

/// Formats the current state of a process that has not ended.
pub(crate) fn waiting_line(process: &ProcessView, unicode: bool) -> String {
    let standing = ParsedStatus::of(process);
    let mut line =
        format!("{} {} still {}", label(process), standing.glyph(unicode), clean_label(&process.status));
    if let Some(words) = few_words(process) {
        line.push_str(&format!(" ({words})"));
    }
    if let Some(progress) = process.progress {
        line.push_str(&format!(", {progress:.0} %"));
    }
    if let Some(eta) = remaining(process) {
        line.push_str(&format!(", {eta}"));
    }
    line
}

/// Formats the estimated remaining time, such as "eta ~3m". Adds "(from earlier runs)" if the estimate is based only on
/// earlier runs.
pub(super) fn remaining(process: &ProcessView) -> Option<String> {
    let eta = rough(process.eta_ms?);
    Some(match process.eta_source.as_deref() {
        Some("history") => format!("eta ~{eta} (from earlier runs)"),
        Some(_) | None => format!("eta ~{eta}"),
    })
}

/// Formats a number of descendants, such as "2 descendants".
pub(super) fn descendants(count: u32) -> String {
    if count == 1 { "1 descendant".to_owned() } else { format!("{count} descendants") }
}

fn how_it_ended(process: &ProcessView) -> Option<String> {
    let stop = || {
        let exit = process.exit.as_ref()?;
        let signal = exit.last_signal.or(exit.signal).map(|number| SignalArg::of(number).to_string());
        let swept =
            (exit.leftovers_killed > 0).then(|| format!("{} killed", descendants(exit.leftovers_killed)));
        let said: Vec<String> = signal.into_iter().chain(swept).collect();
        (!said.is_empty()).then(|| said.join(", "))
    };
    match ParsedStatus::of(process) {
        ParsedStatus::Cancelled | ParsedStatus::Timeout => stop(),
        ParsedStatus::Completed
        | ParsedStatus::Failed
        | ParsedStatus::Interrupted
        | ParsedStatus::OtherEnded => {
            exit_words(process).or_else(|| process.error.clone()).or_else(|| process.reason.clone())
        }
        ParsedStatus::Pending
        | ParsedStatus::Starting
        | ParsedStatus::Running
        | ParsedStatus::Paused
        | ParsedStatus::Stopping
        | ParsedStatus::OtherLive => None,
    }
}

/// Formats the exit of a process that was observed only after the process had been recorded as interrupted. Returns an
/// empty text if no exit was observed afterwards.
fn late_words(process: &ProcessView) -> String {
    match process.late_exit.as_ref().map(|exit| (exit.code, exit.signal)) {
        Some((_, Some(signal))) => format!("; seen late: {}", SignalArg::of(signal)),
        Some((Some(code), None)) => format!("; observed late: exit {code}"),
        Some((None, None)) | None => String::new(),
    }
}

fn exit_words(process: &ProcessView) -> Option<String> {
    let exit = process.exit.as_ref();
    match (process.exit_code, exit.and_then(|exit| exit.signal)) {
        (_, Some(signal)) => Some(SignalArg::of(signal).to_string()),
        (Some(code), None) => Some(format!("exit {code}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use longhaul_wire::api::ExitView;

    #[test]
    fn interrupted_process_is_shown_with_the_evidence() {
        assert_eq!(ended_line(&samples::failed(), true), "b7d0ha00 ruff ✗ failed (exit 1) after 48s");
        assert_eq!(
            ended_line(&samples::cancelled(), true),
            "c0ffee00 server ⊘ cancelled (SIGKILL, 3 descendants killed) after 49m"
        );
        assert_eq!(
            ended_line(&samples::interrupted(), false),
            "deadbeef train ? interrupted (supervisor killed) after 1h"
        );
    }

    #[test]
    fn live_process_is_shown_with_its_progress() {
        assert_eq!(waiting_line(&samples::running(), true), "0a1b2c3d tests ● still running, 41 %, eta ~3m");
        assert_eq!(waiting_line(&samples::queued(), true), "9f8e7d6c build ◌ still pending (queued (cargo))");
    }

    #[test]
    fn interrupted_process_is_shown_with_its_late_exit() {
        let mut process = samples::interrupted();
        assert_eq!(few_words(&process).as_deref(), Some("supervisor killed"));
        process.late_exit = Some(ExitView { code: Some(9), ..ExitView::default() });
        assert_eq!(few_words(&process).as_deref(), Some("supervisor killed; observed late: exit 9"));
    }

    #[test]
    fn conditions_are_shown_next_to_the_status() {
        let mut process = samples::running();
        process.conditions = vec!["stuck".to_owned()];
        assert_eq!(few_words(&process).as_deref(), Some("stuck"));
    }
}
