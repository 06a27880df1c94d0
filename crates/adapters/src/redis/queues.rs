use super::RedisStore;
use super::class;
use super::codec::{id, ids, name, refusal};
use super::failure::{broken, corrupt};
use super::process::NO_OP;
use super::reply::ScriptReply;
use super::script::{CLASSES, POLICY, QUEUES, ScriptArgs};
use super::token::token;
use async_trait::async_trait;
use longhaul_domain::{Policy, PolicyVersion, ProcessId, SlotKey, Timestamp};
use longhaul_ports::{PlacementClass, QueueState, Queues, StoreError, StoreRejection};
use longhaul_wire::record;
use std::collections::BTreeSet;

#[async_trait]
impl Queues for RedisStore {
    async fn policy(&self) -> Result<(PolicyVersion, Policy), StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}policy", self.link.prefix())).arg("version").arg("body");
        let mut reply = self.link.look(command).await?;
        read_policy(&mut reply)
    }

    async fn set_policy(
        &self,
        expected: PolicyVersion,
        policy: &Policy,
    ) -> Result<PolicyVersion, StoreError> {
        self.write_policy(&expected.to_string(), policy).await
    }

    async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, StoreError> {
        let mut args = ScriptArgs::default();
        args.text(if only.is_none() { "1" } else { "" });
        args.text(only.map_or("", |key| key.as_str()));
        let mut reply = self.link.read(&QUEUES, args).await?;
        let word = reply.word()?;
        if word != "ok" {
            return Err(refusal(&word, &mut reply));
        }
        let (_, policy) = read_policy(&mut reply)?;
        let mut views = Vec::with_capacity(reply.len());
        while !reply.is_empty() {
            views.push(view(&mut reply.list()?, &policy)?);
        }
        Ok(views)
    }

    async fn label_classes(&self) -> Result<Vec<PlacementClass>, StoreError> {
        let mut lanes = self.link.read(&CLASSES, ScriptArgs::default()).await?;
        let mut classes = BTreeSet::new();
        while !lanes.is_empty() {
            classes.extend(class::of_labels(&lanes.word()?));
        }
        Ok(classes.into_iter().collect())
    }
}

impl RedisStore {
    /// Stores the default policy if the namespace has no policy yet.
    pub(super) async fn found_policy(&self) -> Result<(), StoreError> {
        self.write_policy("", &Policy::default()).await.map(|_| ())
    }

    /// Replaces the stored policy with this policy if the stored version is older.
    pub(super) async fn raise_policy(
        &self,
        version: PolicyVersion,
        policy: &Policy,
    ) -> Result<(), StoreError> {
        match self.write_policy(&format!("<{version}"), policy).await {
            Ok(_) | Err(StoreError::Refused(StoreRejection::StalePolicy { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn write_policy(&self, expected: &str, policy: &Policy) -> Result<PolicyVersion, StoreError> {
        let mut args = ScriptArgs::default();
        args.text(expected)
            .bytes(&token())
            .text(&record::encode_policy(policy))
            .number(policy.default_slots.into())
            .text(&lengths(policy))
            .number(u64::try_from(policy.slots.len()).unwrap_or(u64::MAX));
        for (name, slots) in &policy.slots {
            args.text(name).number((*slots).into());
        }
        for key in policy.held.keys() {
            args.text(key.as_str());
        }
        let mut reply = self.link.write(&POLICY, NO_OP, args).await?;
        let word = reply.word()?;
        match word.as_str() {
            "ok" => Ok(PolicyVersion(reply.number()?)),
            "stale" => {
                let found = PolicyVersion(reply.number()?);
                Err(StoreError::Refused(StoreRejection::StalePolicy { found }))
            }
            word => Err(refusal(word, &mut reply)),
        }
    }
}

/// Returns the different lengths of the pattern prefixes, longest first. With these lengths, a script finds the longest
/// pattern that matches a key without testing all patterns.
fn lengths(policy: &Policy) -> String {
    let lengths: BTreeSet<usize> =
        policy.slots.keys().filter_map(|pattern| pattern.strip_suffix('*')).map(str::len).collect();
    let words: Vec<String> = lengths.into_iter().rev().map(|length| length.to_string()).collect();
    words.join(" ")
}

pub(super) fn read_policy(reply: &mut ScriptReply) -> Result<(PolicyVersion, Policy), StoreError> {
    let Some(version) = reply.optional_signed()? else {
        return Err(refusal("empty", reply));
    };
    let version = PolicyVersion(u64::try_from(version).unwrap_or(0));
    Ok((version, record::decode_policy(&reply.word()?).map_err(broken)?))
}

pub(super) fn view(reply: &mut ScriptReply, policy: &Policy) -> Result<QueueState, StoreError> {
    let key: Option<SlotKey> = reply.optional_text()?.map(|key| name(&key)).transpose()?;
    let holders = ids(reply.list()?)?;
    let mut lanes = reply.list()?;
    let mut waiters = Vec::new();
    while !lanes.is_empty() {
        let mut lane = lanes.list()?;
        while !lane.is_empty() {
            let (waiter, score) = (Waiter::read(&lane.bytes()?), lane.signed()?);
            // Skip invalid entries, because a claim removes them.
            waiters.extend(waiter.ok().map(|waiter| (score, waiter)));
        }
    }
    waiters.sort_unstable();
    Ok(QueueState {
        slots: key.as_ref().and_then(|key| policy.slots_of(key)),
        held: key.as_ref().and_then(|key| policy.held.get(key)).cloned(),
        holders,
        oldest: waiters.iter().map(|(_, waiter)| waiter.queued_at).min(),
        waiters: waiters.into_iter().map(|(_, waiter)| waiter.id).collect(),
        key,
    })
}

/// A member of a lane of waiting processes: its sequence number in 16 digits, its process id, and the time of its
/// submission. The score of the member is the negated priority.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiter {
    seq: Vec<u8>,
    id: ProcessId,
    queued_at: Timestamp,
}

impl Waiter {
    fn read(member: &[u8]) -> Result<Self, StoreError> {
        let damaged = || corrupt("an entry of a queue has an invalid form");
        let (seq, rest) = member.split_at_checked(16).ok_or_else(damaged)?;
        let (raw, queued_at) = rest.split_at_checked(16).ok_or_else(damaged)?;
        let queued_at =
            str::from_utf8(queued_at).ok().and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
        Ok(Self { seq: seq.to_vec(), id: id(raw)?, queued_at: Timestamp(queued_at) })
    }
}
