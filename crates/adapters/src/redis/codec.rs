//! Encodes and decodes the records, headers and events that the server stores.

use super::class;
use super::failure::{broken, corrupt, emptied, of_record};
use super::reply::ScriptReply;
use super::script::ScriptArgs;
use crate::damage::NamedDamage;
use longhaul_domain::{
    ActionSeq, AttemptNo, Epoch, Event, Fact, LiveStats, NodeId, Process, ProcessHeader, ProcessId, Revision,
    Seq, SlotState, Timestamp, Work,
};
use longhaul_ports::{Lease, PlacementClass, StoreError, StoredProcess, Writer};
use longhaul_wire::record;
use std::str::FromStr;
use uuid::Uuid;

/// Separator between the parts of a text. Names cannot contain control characters.
pub(super) const SEPARATOR: char = '\u{1f}';

/// Prefix of the event body that a script writes when it restores a record.
const RESTORED: &str = "restored";

/// Decodes a record that the scripts' function `record` has returned. Returns `None` for an empty reply.
pub(super) fn stored(reply: &mut ScriptReply) -> Result<Option<StoredProcess>, StoreError> {
    match record_id(reply)? {
        Some(id) => read(id, reply).map(Some),
        None => Ok(None),
    }
}

/// Returns the process id from a record that the scripts' function `record` has returned, or `None` for an empty reply.
pub(super) fn record_id(reply: &mut ScriptReply) -> Result<Option<ProcessId>, StoreError> {
    if reply.is_empty() {
        return Ok(None);
    }
    id(&reply.bytes()?).map(Some)
}

/// Decodes the fields of a record that follow its id.
pub(super) fn read(id: ProcessId, reply: &mut ScriptReply) -> Result<StoredProcess, StoreError> {
    fields(id, reply).map_err(|error| of_record(id, error))
}

/// Marker that a script returns in place of the revision of a damaged record.
const DAMAGED: &str = "!";

fn fields(id: ProcessId, reply: &mut ScriptReply) -> Result<StoredProcess, StoreError> {
    let revision = reply.word()?;
    if revision == DAMAGED {
        return Err(corrupt(reply.word()?));
    }
    let (revision, seq) = (Revision(number(&revision)?), Seq(reply.number()?));
    let owner = match (reply.optional_text()?, reply.optional_text()?) {
        (Some(node), Some(epoch)) => Some(Lease { node: name(&node)?, epoch: Epoch(number(&epoch)?) }),
        (Some(_) | None, _) => None,
    };
    let claimed = reply.optional_text()?;
    let (life, spec) = (reply.word()?, reply.word()?);
    let mut process = record::decode_up_to(reply.record_format(), &spec, &life).map_err(broken)?;
    if process.id != id {
        return Err(corrupt("a record is stored under the id of another process"));
    }
    if let Some(claimed) = claimed {
        process.evolve(&[claim(&claimed)?]);
    }
    let live_stats = match reply.optional_text()? {
        Some(live_stats) => record::decode_live_stats(&live_stats).map_err(broken)?,
        None => LiveStats::default(),
    };
    let mut pending_actions = Vec::new();
    while !reply.is_empty() {
        let no = ActionSeq(reply.number()?);
        pending_actions.push((no, record::decode_pending_action(&reply.word()?).map_err(broken)?));
    }
    Ok(StoredProcess { process, revision, seq, owner, pending_actions, live_stats })
}

/// Decodes one of many records. If the record is damaged, logs it once and returns `None`, so that it does not block
/// the other records.
pub(super) fn sound(
    reply: &mut ScriptReply,
    named: &NamedDamage,
) -> Result<Option<StoredProcess>, StoreError> {
    match stored(reply) {
        Err(error) if error.is_damage() => {
            named.name(&error);
            Ok(None)
        }
        other => other,
    }
}

/// Decodes the body of an event. Scripts themselves write the events of claims and of restored records, in a separate
/// format, because only the scripts have the attempt and the time.
pub(super) fn event(body: &str) -> Result<Event, StoreError> {
    if body.starts_with('{') {
        return record::decode_event(body).map_err(broken);
    }
    match body.strip_prefix(RESTORED).and_then(|said| said.strip_prefix(SEPARATOR)) {
        Some(said) => restored_records(said),
        None => claim(body),
    }
}

/// Decodes the event of a restored record. It contains the time and the node.
fn restored_records(said: &str) -> Result<Event, StoreError> {
    let (at, node) = said
        .split_once(SEPARATOR)
        .ok_or_else(|| corrupt("the note about a restored record is incomplete"))?;
    Ok(Event { at: Timestamp(number(at)?), fact: Fact::Restored { node: name(node)? } })
}

/// Decodes the event of a claim. It contains the attempt, the time and the node.
pub(super) fn claim(said: &str) -> Result<Event, StoreError> {
    let mut parts = said.splitn(3, SEPARATOR);
    let mut part = || parts.next().ok_or_else(|| corrupt("the note about a claim is incomplete"));
    let (attempt, at, node) = (AttemptNo(number(part()?)?), Timestamp(number(part()?)?), name(part()?)?);
    Ok(Event { at, fact: Fact::Claimed { attempt, node } })
}

pub(super) fn id(bytes: &[u8]) -> Result<ProcessId, StoreError> {
    let uuid = Uuid::from_slice(bytes).map_err(|_| corrupt("an id does not have 16 bytes"))?;
    Ok(ProcessId::new(uuid))
}

/// Decodes all remaining values of a reply as process ids.
pub(super) fn ids(mut reply: ScriptReply) -> Result<Vec<ProcessId>, StoreError> {
    let mut ids = Vec::with_capacity(reply.len());
    while !reply.is_empty() {
        ids.push(id(&reply.bytes()?)?);
    }
    Ok(ids)
}

pub(super) fn name<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt("a field does not contain a valid name"))
}

fn number<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt("a field does not contain a number"))
}

/// Converts an error word that any write may return, together with its arguments, into a store error.
pub(super) fn refusal(word: &str, reply: &mut ScriptReply) -> StoreError {
    refused(word, reply).unwrap_or_else(|error| error)
}

fn refused(word: &str, reply: &mut ScriptReply) -> Result<StoreError, StoreError> {
    Ok(match word {
        "fenced" => StoreError::Fenced { node: name(&reply.word()?)?, epoch: Epoch(reply.number()?) },
        "conflict" => StoreError::Conflict { found: Revision(reply.number()?) },
        "empty" => emptied(),
        "damaged" => corrupt(reply.word()?),
        other => reply.strange(format!("a script returned {other:?}")),
    })
}

/// Adds the writer as two arguments, node and epoch. Both are empty if any node may write.
pub(super) fn push_author(args: &mut ScriptArgs, author: &Writer) {
    match author {
        Writer::Owner(lease) => push_lease(args, lease),
        Writer::Anyone => args.text("").text(""),
    };
}

pub(super) fn push_lease<'a>(args: &'a mut ScriptArgs, lease: &Lease) -> &'a mut ScriptArgs {
    args.text(lease.node.as_str()).number(lease.epoch.0)
}

/// Returns the values that a claim must set, so that the script only has to copy them: status, closing, due time, and
/// whether the node becomes the owner. Returns an empty text for a process that is not waiting.
pub(super) fn if_claimed(process: &Process, head: &ProcessHeader) -> String {
    match head.slot_state {
        SlotState::Waiting => {}
        SlotState::Holding | SlotState::Idle | SlotState::Ended => return String::new(),
    }
    let Some(node) = process.node.clone().or_else(|| NodeId::new("any").ok()) else {
        return String::new();
    };
    let mut claimed = process.clone();
    let fact = Fact::Claimed { attempt: process.attempt.next(), node };
    claimed.evolve(&[Event { at: process.queued_at, fact }]);
    let head = claimed.head();
    let owned = match &process.spec.work {
        Work::Command(_) => "1",
        Work::Reported(_) => "0",
    };
    let due = optional(head.due);
    format!("{}{SEPARATOR}{}{SEPARATOR}{due}{SEPARATOR}{owned}", head.status, closing(&head))
}

/// Returns the slot state in the scripts' notation: 0 waiting, 1 holding a slot, 2 idle, 3 ended.
pub(super) const fn slot_state(slot_state: SlotState) -> &'static str {
    match slot_state {
        SlotState::Waiting => "0",
        SlotState::Holding => "1",
        SlotState::Idle => "2",
        SlotState::Ended => "3",
    }
}

/// Returns the closing state in the scripts' notation: 0 open, 1 accepts no more children, 2 accepts no more
/// descendants.
pub(super) const fn closing(head: &ProcessHeader) -> &'static str {
    match (head.closing, head.is_ending()) {
        (_, true) => "2",
        (true, false) => "1",
        (false, false) => "0",
    }
}

pub(super) fn optional(at: Option<Timestamp>) -> String {
    at.map(|at| at.0.to_string()).unwrap_or_default()
}

pub(super) fn joined(ids: &[ProcessId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_uuid().as_bytes()).collect()
}

/// Returns the names of the indexes that contain the process as long as its record exists, one name per line.
pub(super) fn labels(head: &ProcessHeader) -> String {
    let named = [
        ("session", head.session.as_ref().map(|name| name.as_str())),
        ("project", head.project.as_ref().map(|name| name.as_str())),
        ("name", head.name.as_ref().map(|name| name.as_str())),
        ("key", head.key.as_ref().map(|name| name.as_str())),
        ("agent", head.agent.as_ref().map(|name| name.as_str())),
    ];
    let mut labels: Vec<String> =
        named.into_iter().filter_map(|(what, name)| name.map(|name| format!("{what}:{name}"))).collect();
    labels.push(format!("kind:{}", head.kind));
    if head.level.0 > 0 {
        labels.push(format!("level:{}", head.level));
    }
    labels.join("\n")
}

pub(super) fn class_of(process: &Process, min_reader: u32) -> String {
    class::text(&PlacementClass::of(&process.spec.placement), min_reader)
}
