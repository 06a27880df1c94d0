//! Submits new processes.

use super::RedisStore;
use super::codec::{
    self, class_of, closing, id, ids, if_claimed, joined, labels, name, optional, push_lease, slot_state,
    stored,
};
use super::failure::corrupt;
use super::reply::ScriptReply;
use super::script::{SUBMIT, ScriptArgs};
use crate::fingerprint::Fingerprint;
use longhaul_domain::{
    LaunchKey, OpId, PolicyVersion, Process, ProcessHeader, ProcessId, Seq, SessionId, SlotKey, Spec,
};
use longhaul_ports::{Lease, StoreError, StoreRejection, StoredProcess, Submission, SubmitOutcome};
use longhaul_wire::record;

/// Maximum size of a stored spec, in bytes.
const MAX_SPEC_BYTES: usize = 1024 * 1024;

impl RedisStore {
    pub(super) async fn submit_new(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        let min_reader = self.min_reader(&new.process.spec);
        let spec = record::encode_spec_for(min_reader, &new.process);
        if spec.len() > MAX_SPEC_BYTES {
            let bytes = u64::try_from(spec.len()).unwrap_or(u64::MAX);
            return Err(StoreError::Refused(StoreRejection::TooLarge { bytes }));
        }
        let head = new.process.head();
        let args = args(&new, &head, &spec, min_reader);
        let op = OpId::new(*new.process.id.as_uuid());
        // The claim may need a slot that is held by a process of another node, and the launch key may belong to a
        // process that the server has lost. Both require that no data loss is unreported.
        let may_be_anothers = new.claim_for.is_some() || new.process.spec.launch_key.is_some();
        let answer = if may_be_anothers {
            self.link.take(&SUBMIT, op, args).await
        } else {
            self.link.write(&SUBMIT, op, args.without_seen_position()).await
        };
        let mut reply = answer?;
        let word = reply.word()?;
        match word.as_str() {
            "waiting" => {
                let seq = Seq(reply.number()?);
                Ok(SubmitOutcome::Waiting(StoredProcess::accepted(new.process, seq)))
            }
            "claimed" => {
                let seq = Seq(reply.number()?);
                let claim = codec::claim(&reply.word()?)?;
                let stored = claimed(new, seq, claim)?;
                if self.link.is_replicated() {
                    self.replicated.add(&stored);
                }
                Ok(SubmitOutcome::Claimed(stored))
            }
            "existing" => existing(&new, &mut reply),
            word => Err(match refusal(word, &mut reply, &new, &head)? {
                Some(refusal) => StoreError::Refused(refusal),
                None => codec::refusal(word, &mut reply),
            }),
        }
    }

    /// Returns the oldest record format that a node must be able to read to claim a process with this spec.
    fn min_reader(&self, spec: &Spec) -> u32 {
        let format = self.link.record_format;
        if format > record::FORMAT { format } else { record::oldest_reader(spec) }
    }
}

/// Encodes a submission in the order of the script's arguments.
fn args(new: &Submission, head: &ProcessHeader, spec: &str, min_reader: u32) -> ScriptArgs {
    let (process, limits) = (&new.process, &new.limits);
    let mut args = ScriptArgs::default();
    args.bytes(process.id.as_uuid().as_bytes());
    match &process.spec.launch_key {
        Some(key) => {
            let scope = launch_scope(process.spec.session.as_ref(), key);
            args.text(&scope).text(&fingerprint(&process.spec.launch_part()))
        }
        None => args.text("").text(""),
    };
    args.number(limits.policy.0)
        .text(&limits.slots.map(|slots| slots.to_string()).unwrap_or_default())
        .number(limits.tree.max_level.0.into())
        .number(limits.tree.per_level.into());
    match &new.claim_for {
        Some(claimant) => push_lease(&mut args, &claimant.lease).number(claimant.roots.into()),
        None => args.text("").text("").text("0"),
    };
    args.text(if new.fail_if_queued { "1" } else { "" });
    push_record(&mut args, process, head, spec, min_reader);
    for event in &new.events {
        args.text(&record::encode_event(event));
    }
    args
}

/// Adds the values of a record in the order in which scripts read them.
pub(super) fn push_record(
    args: &mut ScriptArgs,
    process: &Process,
    head: &ProcessHeader,
    spec: &str,
    min_reader: u32,
) {
    args.text(&record::encode_life(process))
        .text(spec)
        .text(&labels(head))
        .text(&fingerprint(&process.spec))
        .text(slot_state(head.slot_state))
        .text(head.status.as_str())
        .text(closing(head))
        .number(head.attempt.0.into())
        .text(head.key.as_ref().map_or("", |key| key.as_str()))
        .text(&class_of(process, min_reader))
        .signed(head.priority.value().into())
        .text(&optional(head.due))
        .bytes(&joined(&head.ancestors))
        .text(head.node.as_ref().map_or("", |node| node.as_str()))
        .signed(head.queued_at.0)
        .text(&optional(head.completed_at))
        .text(&if_claimed(process, head));
}

/// Returns the name of a launch key, which is unique within its session.
pub(super) fn launch_scope(session: Option<&SessionId>, key: &LaunchKey) -> String {
    format!("{}{}{key}", session.map_or("", |session| session.as_str()), codec::SEPARATOR)
}

pub(super) fn fingerprint(spec: &Spec) -> String {
    format!("{:016x}", Fingerprint::of(spec))
}

fn claimed(new: Submission, seq: Seq, claim: longhaul_domain::Event) -> Result<StoredProcess, StoreError> {
    let lease = new.claim_for.as_ref().map(|claimant| claimant.lease.clone());
    let lease: Lease =
        lease.ok_or_else(|| corrupt("a process was claimed although the submission asked for no claim"))?;
    let mut stored = StoredProcess::accepted(new.process, seq);
    stored.claim(&[claim], &lease);
    Ok(stored)
}

/// Decodes the existing process that has the same id or launch key. If the process was pruned, its spec is compared by
/// fingerprint.
fn existing(new: &Submission, reply: &mut ScriptReply) -> Result<SubmitOutcome, StoreError> {
    let id = id(&reply.bytes()?)?;
    let same_print = reply.word()? == "1";
    let stored = stored(&mut reply.list()?)?;
    let (asked, me) = (&new.process.spec, new.process.id);
    let same_spec = match &stored {
        Some(stored) if id == me => stored.process.spec == *asked,
        Some(stored) => stored.process.spec.same_launch(asked),
        None => same_print,
    };
    Ok(SubmitOutcome::Existing { id, stored, same_spec })
}

/// Decodes a rejection that only a submission can receive. Returns `None` for any other word.
fn refusal(
    word: &str,
    reply: &mut ScriptReply,
    new: &Submission,
    head: &ProcessHeader,
) -> Result<Option<StoreRejection>, StoreError> {
    let tree = new.limits.tree;
    Ok(Some(match word {
        "stale" => StoreRejection::StalePolicy { found: PolicyVersion(reply.number()?) },
        "parentless" => StoreRejection::ParentMissing { parent: id(&reply.bytes()?)? },
        "closing" => StoreRejection::AncestorClosing { ancestor: id(&reply.bytes()?)? },
        "deep" => StoreRejection::TooDeep { level: head.level, max_level: tree.max_level },
        "level" => {
            let live = u32::try_from(reply.number()?).unwrap_or(u32::MAX);
            StoreRejection::LevelFull { level: head.level, live, limit: tree.per_level }
        }
        "starved" => {
            let key =
                head.key.clone().ok_or_else(|| corrupt("a process without a key is limited by a key"))?;
            StoreRejection::HeldByAncestors { key, holders: holders(reply)? }
        }
        "slotless" => {
            let key: Option<SlotKey> = reply.optional_text()?.map(|key| name(&key)).transpose()?;
            StoreRejection::NoSlot { key, holders: holders(reply)? }
        }
        _ => return Ok(None),
    }))
}

fn holders(reply: &mut ScriptReply) -> Result<Vec<ProcessId>, StoreError> {
    ids(reply.list()?)
}
