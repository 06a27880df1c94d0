//! Converts logged events to the envelopes that subscribers receive.

use crate::convert::{TESTS_DOUBTFUL, dating, ending, first_error, rfc3339, seconds, tests};
use crate::events::place::cursor_text;
use crate::events::subject::EventSubject;
use longhaul_domain::{Ending, ExitStatus, Fact, NodeId, ReportedOutcome, Status, StopCause};
use longhaul_engine::ports::{EventCursor, LoggedEvent};
use longhaul_wire::api::FirstErrorView;
use longhaul_wire::event::{Envelope, EventData, EventKind, StartTrigger};

/// Builds the envelope of an event, without the output tail.
pub(crate) fn envelope(
    kind: EventKind,
    logged: &LoggedEvent,
    subject: Option<&EventSubject>,
    here: &NodeId,
) -> Envelope {
    let LoggedEvent { cursor, id, revision, index, event } = logged;
    let node = subject.and_then(|subject| subject.node.as_ref()).unwrap_or(here);
    Envelope {
        id: format!("{id}/{revision}/{index}"),
        source: format!("/nodes/{}", in_path(node.as_str())),
        subject: Some(id.to_string()),
        time: rfc3339(event.at),
        cursor: cursor_text(*cursor),
        sequence: Some(format!("{:010}", revision.0)),
        data: data(logged, subject),
        ..Envelope::of(kind)
    }
}

/// Builds the envelope that reports missing events.
pub(crate) fn gap(from: Option<EventCursor>, to: EventCursor, now: String, here: &NodeId) -> Envelope {
    let (before, after) = (from.map(cursor_text), cursor_text(to));
    Envelope {
        id: format!("gap/{}/{after}", before.as_deref().unwrap_or("start")),
        source: format!("/nodes/{}", in_path(here.as_str())),
        time: now,
        cursor: after.clone(),
        data: EventData { from: before, to: Some(after), ..EventData::default() },
        ..Envelope::of(EventKind::Gap)
    }
}

fn data(logged: &LoggedEvent, subject: Option<&EventSubject>) -> EventData {
    let event = &logged.event;
    let begins = subject.map(|subject| subject.begins);
    let mut data = EventData {
        process_id: Some(logged.id.to_string()),
        status: status(&event.fact, begins).map(|status| status.as_str().to_owned()),
        ..EventData::default()
    };
    if let Some(subject) = subject {
        data.process_type = Some(subject.kind.to_string());
        data.name = subject.name.as_ref().map(ToString::to_string);
        data.command.clone_from(&subject.command);
        data.pid = subject.pid;
        data.session_id = subject.session.as_ref().map(ToString::to_string);
        data.parent_id = subject.parent.map(|parent| parent.to_string());
        data.project = subject.project.as_ref().map(ToString::to_string);
        data.agent_id = subject.agent.as_ref().map(ToString::to_string);
        data.attempt = subject.attempt.map(|attempt| attempt.0);
    }
    let began = subject.and_then(|subject| subject.started_at);
    let lasted = began.map(|began| seconds(event.at.since(began)));
    let reported = subject.map(|subject| &subject.reported);
    match &event.fact {
        Fact::RetryScheduled { due, after } => {
            add_ending(&mut data, after, reported);
            (data.due_at, data.duration) = (Some(rfc3339(*due)), lasted);
        }
        Fact::Ended { ending, live_stats } => {
            add_ending(&mut data, ending, reported);
            data.duration = lasted;
            data.stage = live_stats.stage.as_ref().map(ToString::to_string);
            data.progress = live_stats.progress.map(longhaul_domain::Progress::percent);
        }
        Fact::AwaitingChildren { ending, live_stats } => {
            add_ending(&mut data, ending, reported);
            data.condition = Some("waits_for_children".to_owned());
            data.stage = live_stats.stage.as_ref().map(ToString::to_string);
            data.progress = live_stats.progress.map(longhaul_domain::Progress::percent);
        }
        Fact::StageChanged { stage } => data.stage = Some(stage.to_string()),
        Fact::OutcomeReported(outcome) => data.error.clone_from(&outcome.error),
        Fact::TestsReported(report) => data.tests = Some(Box::new(tests(report))),
        Fact::TestsDoubted(doubt) => {
            data.condition = Some(TESTS_DOUBTFUL.to_owned());
            data.error = Some(doubt.message.clone());
        }
        Fact::StopRequested { cause, .. } => data.cause = Some(cause.as_str().to_owned()),
        Fact::ConditionStarted { condition } => data.condition = Some(condition.as_str().to_owned()),
        Fact::OutputMatched { pattern, offset, line } => {
            (data.pattern, data.line) = (Some(pattern.clone()), Some(line.clone()));
            data.offset = Some(*offset);
        }
        Fact::BecameStuck => data.condition = Some("stuck".to_owned()),
        Fact::Submitted
        | Fact::Claimed { .. }
        | Fact::Spawned { .. }
        | Fact::NeverRan
        | Fact::BecameDue
        | Fact::Paused { .. }
        | Fact::Resumed { .. }
        | Fact::KillStarted { .. }
        | Fact::CascadeStarted { .. }
        | Fact::CascadeEnded
        | Fact::Prioritized { .. }
        | Fact::SessionEnded { .. }
        | Fact::SessionKept
        | Fact::ConditionEnded { .. }
        | Fact::NodeLost { .. }
        | Fact::SignalSent { .. }
        | Fact::OrphanStopRequested { .. }
        | Fact::Restored { .. }
        | Fact::LateExit { .. } => {}
    }
    data
}

fn add_ending(data: &mut EventData, how: &Ending, reported: Option<&ReportedOutcome>) {
    (data.exit_code, data.signal) = exit_of(how);
    data.cause = cause_of(how).map(|cause| cause.as_str().to_owned());
    // The error that the command itself reported is more informative than the exit code.
    data.error = stated_error(how, reported);
    data.first_error = how
        .exit()
        .and_then(|exit| exit.first_error.as_deref())
        .map(|error| FirstErrorView { detail: None, ..first_error(error) });
    data.completed_at_precision = dating(how).map(ToOwned::to_owned);
}

/// Returns the error message of a process that did not complete. The error that the command itself reported is more
/// informative than the exit code.
pub(crate) fn stated_error(how: &Ending, reported: Option<&ReportedOutcome>) -> Option<String> {
    match how {
        Ending::Completed { .. } => None,
        Ending::Failed { .. }
        | Ending::Timeout { .. }
        | Ending::Cancelled { .. }
        | Ending::Interrupted { .. } => {
            reported.and_then(|reported| reported.error.clone()).or_else(|| error_of(how))
        }
    }
}

/// Returns the exit code or the signal number with which a command ended.
pub(crate) fn exit_of(how: &Ending) -> (Option<i32>, Option<u8>) {
    match how.exit().map(|exit| exit.status) {
        Some(ExitStatus::Code(code)) => (Some(code), None),
        Some(ExitStatus::Signal { number, .. }) => (None, Some(number)),
        None => (None, None),
    }
}

/// Returns the error message of an ending, or `None` for completed and cancelled processes. If the output contains an
/// error, the first error is used, because it is more informative than the exit code.
fn error_of(how: &Ending) -> Option<String> {
    match how {
        Ending::Completed { .. } | Ending::Cancelled { .. } => None,
        Ending::Failed { .. } | Ending::Timeout { .. } | Ending::Interrupted { .. } => {
            let found = how.exit().and_then(|exit| exit.first_error.as_ref());
            Some(found.map_or_else(|| ending(how), |error| error.message.clone()))
        }
    }
}

const fn cause_of(how: &Ending) -> Option<StopCause> {
    match how {
        Ending::Cancelled { by, .. } => Some(*by),
        Ending::Timeout { .. } => Some(StopCause::Timeout),
        Ending::Completed { .. } | Ending::Failed { .. } | Ending::Interrupted { .. } => None,
    }
}

/// Returns the status of a process after an event, or `None` if the event alone does not determine the status.
const fn status(fact: &Fact, begins: Option<StartTrigger>) -> Option<Status> {
    match fact {
        Fact::Submitted => match begins {
            Some(StartTrigger::AtOnce) => Some(Status::Running),
            Some(StartTrigger::AtItsTurn | StartTrigger::WhenSpawned) | None => Some(Status::Pending),
        },
        Fact::Claimed { .. } => match begins {
            Some(StartTrigger::WhenSpawned) => Some(Status::Starting),
            Some(StartTrigger::AtOnce | StartTrigger::AtItsTurn) | None => Some(Status::Running),
        },
        Fact::NeverRan | Fact::BecameDue | Fact::RetryScheduled { .. } => Some(Status::Pending),
        // Conditions and output matches are recorded only while the work is running.
        Fact::Spawned { .. }
        | Fact::Resumed { .. }
        | Fact::StageChanged { .. }
        | Fact::OutcomeReported(_)
        | Fact::AwaitingChildren { .. }
        | Fact::ConditionStarted { .. }
        | Fact::OutputMatched { .. } => Some(Status::Running),
        Fact::Paused { .. } => Some(Status::Paused),
        Fact::StopRequested { .. } | Fact::KillStarted { .. } | Fact::BecameStuck => Some(Status::Stopping),
        Fact::Ended { ending, .. } => Some(ending.status()),
        Fact::CascadeStarted { .. }
        | Fact::CascadeEnded
        | Fact::Prioritized { .. }
        | Fact::SessionEnded { .. }
        | Fact::SessionKept
        | Fact::ConditionEnded { .. }
        | Fact::NodeLost { .. }
        | Fact::SignalSent { .. }
        | Fact::OrphanStopRequested { .. }
        | Fact::Restored { .. }
        // Test results may become known after the process has ended.
        | Fact::TestsReported(_)
        | Fact::TestsDoubted(_)
        | Fact::LateExit { .. } => None,
    }
}

/// Percent-encodes a name for use in a URL path.
fn in_path(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
