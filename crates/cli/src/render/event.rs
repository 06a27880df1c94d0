//! Formats an event or a batch of completions as one line.

use super::amount::after;
use super::line::short;
use super::moment::RenderTime;
use crate::value::SignalArg;
use longhaul_view::clean_label;
use longhaul_wire::event::{BatchView, EndedProcessView, Envelope};
use longhaul_wire::runner_plan::RunnerPlan;

/// Maximum number of failed processes whose names appear in one line.
const MAX_NAMED: usize = 5;

/// Formats an event as one line: time, type, process and details.
pub(crate) fn event_line(envelope: &Envelope, now: RenderTime, unicode: bool) -> String {
    let data = &envelope.data;
    let mut line = format!("{} {:<24}", now.clock(&envelope.time), clean_label(&envelope.event));
    if let Some(id) = &envelope.subject {
        line.push_str(&format!(" {}", short(id)));
    }
    if let Some(name) = data.name.clone().or_else(|| command_name(&data.command)) {
        line.push_str(&format!(" {}", clean_label(&name)));
    }
    let dash = if unicode { "–" } else { "-" };
    let gap = data.to.as_ref().map(|to| {
        let from = data.from.as_deref().unwrap_or("the beginning");
        format!("events are missing: {from} {dash} {to}")
    });
    let exit = exit_words(data.exit_code, data.signal);
    let words = [
        gap,
        data.condition.clone(),
        data.stage.clone().filter(|_| data.exit_code.is_none() && data.signal.is_none()),
        data.pattern
            .as_ref()
            .map(|pattern| format!("{pattern}: {}", data.line.as_deref().unwrap_or_default())),
        exit.clone(),
        data.error.clone().filter(|_| exit.is_none() || data.first_error.is_some()),
        after(data.duration.map(millis), data.completed_at_precision.as_deref()),
        data.due_at.as_ref().map(|due| format!("again at {}", now.clock(due))),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if !words.is_empty() {
        line.push_str(&format!(" ({})", clean_label(&words.join(", "))));
    }
    line
}

/// Returns the name of a command: the file name of its program. The command of an agent with a plan is run by longhaul
/// itself; its name is the name of the runner or the program of the agent, if the event contains the whole plan.
fn command_name(command: &[String]) -> Option<String> {
    let base = |program: &str| program.rsplit('/').next().unwrap_or(program).to_owned();
    match command {
        [_, .., verb, plan] if verb == "runner" => match RunnerPlan::parse(plan)? {
            RunnerPlan::Remote(plan) => Some(plan.runner),
            RunnerPlan::Steps(plan) => plan.command.first().map(|program| base(program)),
        },
        [program, ..] => Some(base(program)),
        [] => None,
    }
}

/// Formats a batch of completions as one line: the ended processes and the number of processes that are still live.
pub(crate) fn batch_line(batch: &BatchView, unicode: bool) -> String {
    let rest = match batch.live_count {
        0 => "all have ended".to_owned(),
        1 => "1 still lives".to_owned(),
        live => format!("{live} still live"),
    };
    if let [one] = batch.ended.as_slice() {
        return format!("{}; {rest}", ended_words(one, unicode));
    }
    let counts: Vec<String> =
        batch.counts.iter().map(|(status, count)| format!("{count} {}", clean_label(status))).collect();
    let bad: Vec<&EndedProcessView> =
        batch.ended.iter().filter(|ended| ended.status != "completed").collect();
    let named: Vec<String> = bad.iter().take(MAX_NAMED).map(|ended| title(ended)).collect();
    let more = bad.len().saturating_sub(named.len());
    let named = match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" ({})", named.join(", ")),
        (false, more) => format!(" ({}, and {more} more)", named.join(", ")),
    };
    format!("{} ended: {}{named}; {rest}", batch.ended.len(), counts.join(", "))
}

fn ended_words(ended: &EndedProcessView, unicode: bool) -> String {
    let glyph = match (ended.status.as_str(), unicode) {
        ("completed", true) => "✓",
        ("completed", false) => "+",
        ("cancelled", true) => "⊘",
        (_, true) => "✗",
        (_, false) => "x",
    };
    let mut words = format!("{} {glyph} {}", title(ended), clean_label(&ended.status));
    if let Some(why) = exit_words(ended.exit_code, ended.signal).or_else(|| ended.error.clone()) {
        words.push_str(&format!(" ({})", clean_label(&why)));
    }
    if let Some(after) = after(ended.duration_s.map(millis), ended.completed_at_precision.as_deref()) {
        words.push_str(&format!(" {after}"));
    }
    words
}

fn title(ended: &EndedProcessView) -> String {
    match &ended.name {
        Some(name) => format!("{} {}", short(&ended.id), clean_label(name)),
        None => short(&ended.id).to_owned(),
    }
}

fn exit_words(code: Option<i32>, signal: Option<u8>) -> Option<String> {
    match (code, signal) {
        (_, Some(signal)) => Some(SignalArg::of(signal).to_string()),
        (Some(code), None) => Some(format!("exit {code}")),
        (None, None) => None,
    }
}

fn millis(seconds: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(seconds)
        .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::event::{EventData, EventKind};
    use std::collections::BTreeMap;

    fn ended(id: &str, status: &str, code: i32) -> EndedProcessView {
        EndedProcessView {
            id: format!("{id}-0000"),
            name: Some(format!("job {id}\u{1b}")),
            status: status.to_owned(),
            exit_code: Some(code),
            duration_s: Some(48.2),
            ..EndedProcessView::default()
        }
    }

    #[test]
    fn command_of_an_agent_has_the_name_of_the_agent() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let plan = r#"{"steps":{"command":["/usr/bin/claude","-p"],"on_complete":[["git","add"]]}}"#;
        for (command, name) in [
            (words(&["/usr/bin/cargo", "test"]), Some("cargo")),
            (
                words(&["/usr/bin/longhaul", "--state-dir", "/s", "--no-autostart", "runner", plan]),
                Some("claude"),
            ),
            (words(&["longhaul", "--no-autostart", "runner", "{\"remote\":{\"runner\":\"ju…"]), None),
            (words(&[]), None),
        ] {
            assert_eq!(command_name(&command).as_deref(), name, "{command:?}");
        }
    }

    #[test]
    fn event_is_one_line_that_no_terminal_obeys() {
        let data = EventData {
            command: vec!["/usr/bin/ruff\u{1b}[2J".to_owned()],
            exit_code: Some(1),
            duration: Some(48.0),
            error: Some("exited with code 1".to_owned()),
            ..EventData::default()
        };
        let envelope = Envelope {
            subject: Some("b7d0ha00-1111".to_owned()),
            time: "2026-11-21T12:00:00Z".to_owned(),
            data,
            ..Envelope::of(EventKind::Failed)
        };
        let line = event_line(&envelope, RenderTime::here(true), true);
        assert_eq!(
            line,
            "2026-11-21 12:00:00 UTC PROCESS_FAILED           b7d0ha00 ruff␛[2J (exit 1, after 48s)"
        );
    }

    #[test]
    fn notice_names_one_and_counts_many() {
        let mut batch =
            BatchView { ended: vec![ended("aaaaaaaa", "failed", 1)], live_count: 2, ..BatchView::default() };
        assert_eq!(
            batch_line(&batch, true),
            "aaaaaaaa job aaaaaaaa␛ ✗ failed (exit 1) after 48s; 2 still live"
        );
        batch.ended.push(ended("bbbbbbbb", "completed", 0));
        batch.counts = BTreeMap::from([("completed".to_owned(), 1), ("failed".to_owned(), 1)]);
        batch.live_count = 0;
        assert_eq!(
            batch_line(&batch, true),
            "2 ended: 1 completed, 1 failed (aaaaaaaa job aaaaaaaa␛); all have ended"
        );
    }
}
