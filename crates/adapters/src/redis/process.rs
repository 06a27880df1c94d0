use super::RedisStore;
use super::class;
use super::codec::{
    closing, id, if_claimed, optional, push_author, push_lease, read, record_id, refusal, slot_state, stored,
};
use super::reply::ScriptReply;
use super::script::{
    ABANDON, CLAIM, COMMIT, ENQUEUE_ACTION, IS_DURABLE, LOAD, ScriptArgs, UPDATE_LIVE_STATS,
};
use super::token::token;
use async_trait::async_trait;
use longhaul_domain::{ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, ProcessId, Revision};
use longhaul_ports::{
    Change, ClaimCapacity, Lease, Listing, PageRequest, ProcessFilter, ProcessStore, StoreError,
    StoreRejection, StoredProcess, Submission, SubmitOutcome, Writer, max_pending_actions,
};
use longhaul_wire::record;

/// Used for writes without an operation id. A caller that did not receive the answer lists the current state instead of
/// repeating the write.
pub(super) const NO_OP: Option<OpId> = None;

/// Slot state of a process that holds a slot, in the scripts' notation.
const HOLDING: &str = "1";

#[async_trait]
impl ProcessStore for RedisStore {
    async fn submit(&self, new: Submission) -> Result<SubmitOutcome, StoreError> {
        self.submit_new(new).await
    }

    async fn claim(&self, by: &Lease, room: &ClaimCapacity) -> Result<Vec<StoredProcess>, StoreError> {
        let mut args = ScriptArgs::default();
        push_lease(&mut args, by).bytes(&token()).number(room.roots.into()).number(room.batch.into());
        for class in &room.classes {
            for reader in record::BASE_FORMAT..=self.link.record_format {
                args.text(&class::text(class, reader));
            }
        }
        let mut reply = self.link.take(&CLAIM, NO_OP, args).await?;
        let word = reply.word()?;
        if word != "ok" {
            return Err(refusal(&word, &mut reply));
        }
        let mut claimed = Vec::with_capacity(reply.len());
        let mut unread = Vec::new();
        while !reply.is_empty() {
            let mut row = reply.list()?;
            let Some(id) = record_id(&mut row)? else { continue };
            match read(id, &mut row) {
                Ok(stored) => claimed.push(stored),
                Err(error) if error.is_damage() => unread.push((id, error)),
                Err(error) => return Err(error),
            }
        }
        for (id, error) in unread {
            self.named.name(&error);
            // An error is only logged, so that the other claimed processes are returned normally.
            if let Err(failure) = self.give_up(by, id, &error).await {
                tracing::error!(
                    %id, error = %failure,
                    "a process keeps its slot, because its unreadable record could not be quarantined"
                );
            }
        }
        if self.link.is_replicated() {
            claimed.iter().for_each(|stored| self.replicated.add(stored));
        }
        Ok(claimed)
    }

    async fn commit(&self, change: Change) -> Result<Revision, StoreError> {
        let mut reply = self.link.write(&COMMIT, change.op, change_args(&change)).await?;
        let word = reply.word()?;
        match word.as_str() {
            "ok" => Ok(Revision(reply.number()?)),
            "missing" => Err(StoreError::Missing { id: change.next.id }),
            "lives" => {
                let descendant = id(&reply.bytes()?)?;
                Err(StoreError::Refused(StoreRejection::DescendantLives { descendant }))
            }
            word => Err(refusal(word, &mut reply)),
        }
    }

    async fn enqueue_action(
        &self,
        id: &ProcessId,
        op: OpId,
        action: PendingAction,
    ) -> Result<ActionSeq, StoreError> {
        let mut args = ScriptArgs::default();
        args.bytes(id.as_uuid().as_bytes())
            .bytes(op.as_uuid().as_bytes())
            .text(&record::encode_pending_action(&action));
        args.number(max_pending_actions(&action).into());
        let mut reply = self.link.write(&ENQUEUE_ACTION, op, args).await?;
        let word = reply.word()?;
        match word.as_str() {
            "ok" => Ok(ActionSeq(reply.number()?)),
            "missing" => Err(StoreError::Missing { id: *id }),
            "full" => Err(StoreError::Refused(StoreRejection::TooManyPendingActions)),
            word => Err(refusal(word, &mut reply)),
        }
    }

    async fn update_live_stats(
        &self,
        by: &Writer,
        live_stats: &[(ProcessId, AttemptNo, LiveStats)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut args = ScriptArgs::default();
        push_author(&mut args, by);
        for (id, attempt, live_stats) in live_stats {
            args.bytes(id.as_uuid().as_bytes())
                .number(attempt.0.into())
                .text(&record::encode_live_stats(live_stats));
        }
        let mut reply = self.link.write(&UPDATE_LIVE_STATS, NO_OP, args).await?;
        live_stats.iter().map(|(id, ..)| touched(*id, &mut reply.list()?)).collect()
    }

    async fn load(&self, ids: &[ProcessId]) -> Result<Vec<Option<StoredProcess>>, StoreError> {
        let mut args = ScriptArgs::default();
        for id in ids {
            args.bytes(id.as_uuid().as_bytes());
        }
        let mut reply = self.link.read(&LOAD, args).await?;
        ids.iter()
            .map(|id| match stored(&mut reply.list()?)? {
                Some(other) if other.process.id != *id => {
                    Err(reply.strange("the server returned another record"))
                }
                found => Ok(found),
            })
            .collect()
    }

    async fn is_durable(&self, id: &ProcessId, attempt: AttemptNo) -> Result<bool, StoreError> {
        if !self.link.is_replicated() || self.replicated.take(*id, attempt) {
            return Ok(true);
        }
        let mut args = ScriptArgs::default();
        args.bytes(id.as_uuid().as_bytes());
        let mut reply = self.link.write(&IS_DURABLE, NO_OP, args).await?;
        Ok(reply.word()? == "ok" && reply.number()? == u64::from(attempt.0) && reply.word()? == HOLDING)
    }

    async fn list(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Listing, StoreError> {
        self.page(filter, page).await
    }
}

impl RedisStore {
    /// Releases the slot of a claimed process whose record cannot be read, so that other processes can use the slot.
    async fn give_up(&self, by: &Lease, id: ProcessId, fault: &StoreError) -> Result<(), StoreError> {
        let mut args = ScriptArgs::default();
        args.bytes(id.as_uuid().as_bytes()).text(by.node.as_str()).text(&fault.to_string());
        self.link.write(&ABANDON, NO_OP, args).await.map(|_| ())
    }
}

/// Encodes a change in the order of the script's arguments.
fn change_args(change: &Change) -> ScriptArgs {
    let next = &change.next;
    let head = next.head();
    let mut args = ScriptArgs::default();
    args.bytes(next.id.as_uuid().as_bytes()).bytes(change.op.as_uuid().as_bytes());
    push_author(&mut args, &change.author);
    args.number(change.expected.0)
        .number(change.taken.0)
        .text(if change.require_no_live_descendants { "1" } else { "" })
        .text(&record::encode_life(next))
        .text(slot_state(head.slot_state))
        .text(head.status.as_str())
        .text(closing(&head))
        .number(head.attempt.0.into())
        .signed(head.priority.value().into())
        .text(&optional(head.due))
        .text(head.node.as_ref().map_or("", |node| node.as_str()))
        .text(&optional(head.completed_at))
        .text(&if_claimed(next, &head));
    for event in &change.events {
        args.text(&record::encode_event(event));
    }
    args
}

fn touched(id: ProcessId, answer: &mut ScriptReply) -> Result<Result<(), StoreError>, StoreError> {
    let word = answer.word()?;
    Ok(match word.as_str() {
        "ok" => Ok(()),
        "missing" => Err(StoreError::Missing { id }),
        word => Err(refusal(word, answer)),
    })
}
