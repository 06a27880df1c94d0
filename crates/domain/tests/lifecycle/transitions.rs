//! Compares the rules with the transition table in `transitions.txt`.

use crate::inputs::{COLUMNS, column};
use crate::situations::{Situation, situations};
use longhaul_domain::{Decision, Effect, Input, NoOpReason, Pending, Process, Rejection, State, StopPhase};
use std::collections::BTreeMap;

#[test]
fn every_situation_answers_every_input_as_the_table_says() {
    let table = Table::parse(include_str!("transitions.txt"));
    let mut wrong = Vec::new();
    for (row, situation) in situations() {
        for name in COLUMNS {
            let expected = table.cell(row, name);
            for input in column(name, &situation.process) {
                let found = outcome(&situation, &input);
                if found != expected {
                    wrong.push(format!("[{row}] {name}: {expected} in the table, {found} in the code"));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_one_cell_for_every_situation_and_input() {
    let table = Table::parse(include_str!("transitions.txt"));
    let rows: Vec<&str> = situations().iter().map(|(row, _)| *row).collect();
    assert_eq!(table.order, rows);
    for (row, cells) in &table.rows {
        let mut columns = COLUMNS.to_vec();
        columns.sort_unstable();
        assert_eq!(cells.keys().copied().collect::<Vec<_>>(), columns, "[{row}]");
    }
}

/// The transition table, written by hand: the expected outcome for each situation and input.
struct Table<'a> {
    order: Vec<&'a str>,
    rows: BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>,
}

impl<'a> Table<'a> {
    fn parse(text: &'a str) -> Self {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut table = Table { order: Vec::new(), rows: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(row) = line.strip_prefix('[') {
                let row = row.strip_suffix(']').unwrap();
                table.order.push(row);
                assert!(table.rows.insert(row, BTreeMap::new()).is_none(), "[{row}] twice");
            } else if let Some((inputs, outcome)) = line.split_once(" -> ") {
                let row = *table.order.last().unwrap();
                let cells = table.rows.get_mut(row).unwrap();
                for word in inputs.split_whitespace() {
                    let names = groups.get(word).cloned().unwrap_or_else(|| vec![word]);
                    for name in names {
                        assert!(cells.insert(name, outcome).is_none(), "[{row}] {name} twice");
                    }
                }
            } else {
                let (group, names) = line.split_once('=').unwrap();
                groups.insert(group.trim(), names.split_whitespace().collect());
            }
        }
        table
    }

    fn cell(&self, row: &str, name: &str) -> &'a str {
        self.rows[row][name]
    }
}

/// Returns the outcome of an input, in the notation of the table.
fn outcome(situation: &Situation, input: &Input) -> String {
    match situation.process.decide(&situation.ctx, &situation.live_stats, input) {
        Err(rejection) => {
            match &rejection {
                Rejection::InvalidStatusTransition { from, .. }
                | Rejection::Unsupported { status: from, .. } => {
                    assert_eq!(*from, situation.process.status())
                }
            }
            format!("refused:{}", rejection.slug())
        }
        Ok(step) => done(&situation.process, &step),
    }
}

fn done(process: &Process, step: &Decision) -> String {
    let note = step.note.map(|note| match note {
        NoOpReason::NoChange => "note:no_change",
        NoOpReason::AlreadyEnded => "note:already_ended",
        NoOpReason::OrphanStopRequested => "note:orphan_stop_requested",
        NoOpReason::KeptByPolicy => "note:kept_by_policy",
        NoOpReason::EndsWithAncestor => "note:ends_with_ancestor",
        NoOpReason::Stale => "note:stale",
    });
    if step.events.is_empty() && step.effects.is_empty() {
        return note.unwrap_or("nothing").to_owned();
    }
    let mut after = process.clone();
    after.evolve(&step.events);
    let mut words = vec![whereabouts(&after.state).to_owned()];
    words.extend(step.events.iter().map(|event| format!("+{}", event.fact.name())));
    words.extend(step.effects.iter().map(|effect| format!("!{}", word(effect))));
    words.extend(note.map(str::to_owned));
    for effect in &step.effects {
        let about = match effect {
            Effect::Spawn { attempt }
            | Effect::Stop { attempt, .. }
            | Effect::Kill { attempt, .. }
            | Effect::Pause { attempt }
            | Effect::Resume { attempt }
            | Effect::Signal { attempt, .. }
            | Effect::StopOrphan { attempt, .. } => *attempt,
            Effect::Keep { .. } | Effect::Relaunch | Effect::Cascade { .. } | Effect::AwaitDescendants => {
                continue;
            }
        };
        assert_eq!(about, after.attempt, "{effect:?} is about another attempt");
    }
    words.join(" ")
}

/// Returns the status of a state, or a more specific name where the table distinguishes states of the same status.
const fn whereabouts(state: &State) -> &'static str {
    match state {
        State::Pending(Pending::Queued) => "queued",
        State::Pending(Pending::Delayed { .. }) => "delayed",
        State::Pending(Pending::Retrying { .. }) => "retrying",
        State::Reported { .. } => "reported",
        State::CancelRequested { .. } => "withdrawing",
        State::AwaitingChildren(_) => "lingering",
        State::Stopping { phase: urgency, .. } => match urgency {
            StopPhase::Requested { .. } => "stopping",
            StopPhase::Killing { .. } => "killing",
            StopPhase::Stuck => "stuck",
        },
        State::Starting { .. } | State::Running { .. } | State::Paused { .. } | State::Ended(_) => {
            state.status().as_str()
        }
    }
}

const fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Spawn { .. } => "spawn",
        Effect::Stop { .. } => "stop",
        Effect::Kill { .. } => "kill",
        Effect::Pause { .. } => "pause",
        Effect::Resume { .. } => "resume",
        Effect::Signal { .. } => "signal",
        Effect::StopOrphan { force: false, .. } => "stop_rest",
        Effect::StopOrphan { force: true, .. } => "kill_rest",
        Effect::Keep { .. } => "keep",
        Effect::Relaunch => "relaunch",
        Effect::Cascade { force: false } => "cascade",
        Effect::Cascade { force: true } => "cascade_now",
        Effect::AwaitDescendants => "await",
    }
}
