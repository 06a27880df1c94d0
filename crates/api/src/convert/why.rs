//! Explains to clients why a process waits.

use crate::convert::moment::{rfc3339, span};
use crate::convert::process::{BlockedBy, holder};
use crate::convert::queue::hold;
use crate::convert::reason;
use longhaul_domain::{Condition, Process, ProcessId, Status, Timestamp};
use longhaul_engine::ports::StoredProcess;
use longhaul_engine::{Engine, EngineError, WaitReason};
use longhaul_wire::api::{HolderView, WhyView};

/// Maximum number of slot holders that are shown with their names; further holders are shown by id only.
const MAX_NAMED_HOLDERS: usize = 100;

/// Returns the reason why a process waits, and the processes that hold the slots.
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
    Ok(view(&stored, &why, holders, engine.now()))
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

/// Explains that a process does not wait for a slot. The process may still wait for input.
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
