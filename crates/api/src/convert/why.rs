//! Explains to clients why a process is waiting.

use crate::convert::moment::{rfc3339, span};
use crate::convert::process::{BlockedBy, ended, first_error, holder};
use crate::convert::queue::hold;
use crate::convert::reason;
use longhaul_domain::{AttemptNo, Condition, Fact, Process, ProcessId, Status, Timestamp};
use longhaul_engine::ports::{EventCursor, StoredProcess};
use longhaul_engine::{Engine, EngineError, WaitReason};
use longhaul_wire::api::{EarlierAttemptView, HolderView, WhyView};

/// Maximum number of slot holders that are shown with their names. Further holders are shown by id only.
const MAX_NAMED_HOLDERS: usize = 100;
/// How many of the newest events are searched for earlier attempts of a process.
const SEARCHED_EVENTS: u64 = 20_000;
/// Maximum number of events in one read.
const EVENTS_PER_PAGE: u32 = 1_000;

/// Returns the reason why a process is waiting, and the processes that hold the slots.
pub(crate) async fn why(engine: &Engine, id: ProcessId) -> Result<WhyView, EngineError> {
    let why = engine.why(id).await?;
    let stored = engine.process(id).await?;
    let ids: &[ProcessId] = match &why {
        WaitReason::Queued { holders, .. } | WaitReason::NodeFull { holders, .. } => holders,
        WaitReason::NotWaiting { .. }
        | WaitReason::Held { .. }
        | WaitReason::Settling { .. }
        | WaitReason::Delayed { .. }
        | WaitReason::Retrying { .. }
        | WaitReason::NoNode { .. } => &[],
    };
    let mut holders = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        let found = if place < MAX_NAMED_HOLDERS { engine.process(*id).await.ok() } else { None };
        holders.push(found.map_or_else(
            || HolderView { id: id.to_string(), ..HolderView::default() },
            |stored| holder(&stored.process),
        ));
    }
    let mut view = view(&stored, &why, holders, engine.now());
    if stored.process.attempt > AttemptNo(1) {
        view.earlier_attempts = earlier_attempts(engine, &stored.process).await;
    }
    Ok(view)
}

/// Returns the earlier attempts of a process, as far as the newest events of the log contain them. If the log cannot be
/// read, returns no attempts.
async fn earlier_attempts(engine: &Engine, process: &Process) -> Vec<EarlierAttemptView> {
    let mut found = Vec::new();
    let mut attempt = AttemptNo(0);
    let Ok(end) = engine.log_end().await else { return found };
    let mut after = EventCursor(end.0.saturating_sub(SEARCHED_EVENTS));
    while after < end {
        let Ok(page) = engine.log(Some(after), EVENTS_PER_PAGE, false).await else { break };
        let Some(last) = page.events.last() else { break };
        after = last.cursor;
        for logged in page.events.iter().filter(|logged| logged.id == process.id) {
            if let Fact::Claimed { attempt: claimed, .. } = &logged.event.fact {
                attempt = *claimed;
            }
            if let Fact::RetryScheduled { after, .. } = &logged.event.fact
                && attempt > AttemptNo(0)
            {
                found.push(EarlierAttemptView {
                    attempt: attempt.0,
                    ended_at: rfc3339(logged.event.at),
                    ending: reason::of_ending(after),
                });
            }
        }
    }
    found
}

fn view(stored: &StoredProcess, why: &WaitReason, holders: Vec<HolderView>, now: Timestamp) -> WhyView {
    let process = &stored.process;
    let common = WhyView {
        id: process.id.to_string(),
        name: process.spec.name.as_ref().map(ToString::to_string),
        status: process.status().as_str().to_owned(),
        key: process.spec.key.as_ref().map(ToString::to_string),
        queued_at: rfc3339(process.queued_at),
        at: rfc3339(now),
        reason: sentence(process, why, now),
        holders,
        first_error: ended(process)
            .and_then(|ended| ended.ending.exit()?.first_error.as_deref())
            .map(first_error),
        ..WhyView::default()
    };
    match why {
        WaitReason::NotWaiting { status } => {
            WhyView { why: "not_waiting".to_owned(), status: status.as_str().to_owned(), ..common }
        }
        WaitReason::Queued { position, ahead, slots, stalled, .. } => WhyView {
            why: "queued".to_owned(),
            position: Some(*position),
            ahead: Some(*ahead),
            slots: *slots,
            deadlocked: *stalled,
            ..common
        },
        WaitReason::Held { hold: held, position, .. } => WhyView {
            why: "held".to_owned(),
            position: Some(*position),
            ahead: Some(position.saturating_sub(1)),
            held: Some(hold(held)),
            ..common
        },
        WaitReason::NodeFull { limit, position, .. } => WhyView {
            why: "node_full".to_owned(),
            position: Some(*position),
            ahead: Some(position.saturating_sub(1)),
            slots: Some(*limit),
            ..common
        },
        WaitReason::Settling { until, position } => WhyView {
            why: "settling".to_owned(),
            position: Some(*position),
            ahead: Some(position.saturating_sub(1)),
            due_at: Some(rfc3339(*until)),
            ..common
        },
        WaitReason::Delayed { until } => {
            WhyView { why: "delayed".to_owned(), due_at: Some(rfc3339(*until)), ..common }
        }
        WaitReason::Retrying { attempt, at, after } => WhyView {
            why: "retry".to_owned(),
            due_at: Some(rfc3339(*at)),
            next_attempt: Some(*attempt),
            last_error: Some(reason::of_ending(after)),
            ..common
        },
        WaitReason::NoNode { placement, .. } => {
            WhyView { why: "no_node".to_owned(), placement: Some(reason::place(placement)), ..common }
        }
    }
}

/// Explains that a process is not waiting for a slot. The process may be waiting for input.
fn not_queued(process: &Process, status: Status) -> String {
    if process.conditions.holds(Condition::WaitingForInput) {
        return format!(
            "the process is {status} and waits for input: `longhaul send` sends input, and --close closes it"
        );
    }
    format!("the process does not wait: it is {status}")
}

fn sentence(process: &Process, why: &WaitReason, now: Timestamp) -> String {
    match why {
        WaitReason::NotWaiting { status } => reason::reason(process, now, &BlockedBy::None, &[])
            .unwrap_or_else(|| not_queued(process, *status)),
        WaitReason::Queued { key, ahead, slots, holders, stalled, .. } => {
            let what = key.as_ref().map_or_else(
                || "waits for its turn in the queue".to_owned(),
                |key| format!("waits for a slot of the key {key}"),
            );
            let taken =
                slots.map_or_else(String::new, |slots| format!(" ({} of {slots} taken)", holders.len()));
            let stands = if *stalled {
                "; each slot is held by an ancestor of a waiting process: raise the limit, or cancel one of them"
            } else {
                ""
            };
            format!("{what}{taken}; {}{stands}", before(*ahead))
        }
        WaitReason::Held { key, hold, position } => {
            format!("{}; {}", reason::of_hold(key, hold), before(position.saturating_sub(1)))
        }
        WaitReason::NodeFull { limit, position, .. } => format!(
            "its node has reached its limit of running processes ({limit}); {}",
            before(position.saturating_sub(1))
        ),
        WaitReason::Settling { until, position } => {
            format!("{}; {}", reason::of_loss(*until, now), before(position.saturating_sub(1)))
        }
        WaitReason::Delayed { until } => {
            format!("waits until {} ({} from now)", rfc3339(*until), span(until.since(now)))
        }
        WaitReason::Retrying { attempt, at, after } => format!(
            "attempt {attempt} starts at {}, in {}, after: {}",
            rfc3339(*at),
            span(at.since(now)),
            reason::of_ending(after)
        ),
        WaitReason::NoNode { placement, draining } => reason::nowhere(placement, draining),
    }
}

fn before(ahead: u32) -> String {
    match ahead {
        0 => "the process is next".to_owned(),
        1 => "1 process is ahead".to_owned(),
        ahead => format!("{ahead} processes are ahead"),
    }
}
