//! The queues: what they look like, and how their policy is changed while they run.

use crate::detached::run_to_completion;
use crate::engine::{ActionOutcome, Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{
    Action, ConfiguredLimits, NoOpReason, Pending, Policy, PolicyVersion, Priority, Process, ProcessId,
    QueueHold, SlotKey, State,
};
use longhaul_ports::{QueueState, Store, StoreError, StoreRejection, StoredProcess};
use std::sync::PoisonError;

/// So often a change is made anew when the policy changed under it, or the answer was lost.
const MAX_ATTEMPTS: u32 = 8;

impl Engine {
    /// Every key that has a waiter or a holder, or only this one.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, EngineError> {
        Ok(self.core.parts.store.queues(only).await?)
    }

    /// The policy in force.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn policy(&self) -> Result<Policy, EngineError> {
        Ok(self.core.parts.store.policy().await?.1)
    }

    /// Sets the slots of a key or of a pattern, from now on; 0 means no limit. `None` goes back to what is configured for
    /// it, else to what else covers the key. The pattern `*` stands for every key that nothing else covers. What runs goes on.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a pattern that no key can match.
    pub async fn set_slots(&self, pattern: &str, slots: Option<u32>) -> Result<Policy, EngineError> {
        check_pattern(pattern)?;
        let configured = self.core.settings.policy.as_ref().map(|policy| policy.default_slots);
        let own = self.core.settings.policy.as_ref().and_then(|policy| policy.slots.get(pattern)).copied();
        let (pattern, rest) = (pattern.to_owned(), configured.unwrap_or(Policy::DEFAULT_SLOTS));
        self.change_policy(move |policy| match (pattern.as_str(), slots.or(own)) {
            ("*", slots) => policy.default_slots = slots.unwrap_or(rest),
            (_, Some(slots)) => {
                policy.slots.insert(pattern.clone(), slots);
            }
            (_, None) => {
                policy.slots.remove(&pattern);
            }
        })
        .await
    }

    /// Holds the waiters of a key back; what runs goes on. A hold that stands keeps its moment and its name.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be written.
    pub async fn hold_queue(&self, key: &SlotKey, by: Option<String>) -> Result<Policy, EngineError> {
        let (key, hold) = (key.clone(), QueueHold { since: self.now(), by });
        self.change_policy(move |policy| {
            policy.held.entry(key.clone()).or_insert_with(|| hold.clone());
        })
        .await
    }

    /// Ends a hold: its waiters get their turns.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be written.
    pub async fn release_queue(&self, key: &SlotKey) -> Result<Policy, EngineError> {
        let key = key.clone();
        self.change_policy(move |policy| {
            policy.held.remove(&key);
        })
        .await
    }

    /// Makes a waiting process the most urgent one of its key, by a priority one above that of the best waiter: beyond
    /// what anybody may ask for, if need be, so that it can be done again and again. It keeps that priority until it is
    /// moved elsewhere.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] if it does not wait, [`EngineError::Invalid`] if the best waiter of its key has the
    /// highest priority there can be.
    pub async fn move_first(&self, id: ProcessId) -> Result<ActionOutcome, EngineError> {
        let stored = self.process(id).await?;
        let priority = match (&stored.process.state, self.best_of(&stored).await?) {
            (State::Pending(Pending::Queued), Some(best)) if best.process.id == id => {
                return Ok(ActionOutcome { stored, changed: false, note: Some(NoOpReason::NoChange) });
            }
            (State::Pending(_), Some(best)) if best.process.id != id => above(&stored, &best)?,
            // Nobody is ahead; and whether it may be moved at all is for the rules to say.
            _ => stored.process.priority,
        };
        self.command(id, Action::Prioritize { priority }, None).await
    }

    /// The first waiter of the key of a process.
    async fn best_of(&self, stored: &StoredProcess) -> Result<Option<StoredProcess>, EngineError> {
        let view = self.core.queue_of(&stored.process).await?;
        let Some(best) = view.and_then(|view| view.waiters.first().copied()) else {
            return Ok(None);
        };
        Ok(self.core.parts.store.load(&[best]).await?.pop().flatten())
    }

    /// Changes the policy that the store has now; what came in between is kept.
    async fn change_policy(
        &self,
        change: impl Fn(&mut Policy) + Send + Sync + 'static,
    ) -> Result<Policy, EngineError> {
        let core = self.core.clone();
        run_to_completion(async move {
            let _turn = core.policy_turns.lock().await;
            let changed = replace_policy(core.parts.store.as_ref(), |policy| {
                change(policy);
            })
            .await?;
            let policy = changed.1.clone();
            *core.policy.lock().unwrap_or_else(PoisonError::into_inner) = changed;
            Ok(policy)
        })
        .await
    }
}

impl EngineShared {
    /// The queue that a process stands in; none if nobody holds or waits there.
    pub(crate) async fn queue_of(&self, process: &Process) -> Result<Option<QueueState>, EngineError> {
        let key = process.spec.key.as_ref();
        let views = self.parts.store.queues(key).await?;
        Ok(views.into_iter().find(|view| view.key.as_ref() == key))
    }
}

/// Takes over what is configured otherwise than it was at the last start; all else is as it was left.
pub(crate) async fn settled_policy(
    store: &dyn Store,
    configured: Option<&Policy>,
) -> Result<(PolicyVersion, Policy), EngineError> {
    let Some(Policy { slots, default_slots, .. }) = configured else {
        return Ok(store.policy().await?);
    };
    let configured = ConfiguredLimits { slots: slots.clone(), default_slots: *default_slots };
    replace_policy(store, |policy| policy.configure(&configured)).await
}

/// Replaces the policy by a changed one, on the newest; a change that changes nothing is not written.
async fn replace_policy(
    store: &dyn Store,
    change: impl Fn(&mut Policy) + Send + Sync,
) -> Result<(PolicyVersion, Policy), EngineError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (version, found) = store.policy().await?;
        let mut wanted = found.clone();
        change(&mut wanted);
        if wanted == found {
            return Ok((version, found));
        }
        match store.set_policy(version, &wanted).await {
            Ok(version) => return Ok((version, wanted)),
            // Overtaken, or perhaps applied: the newest one tells.
            Err(StoreError::Refused(StoreRejection::StalePolicy { .. }) | StoreError::Unknown { .. })
                if tries < MAX_ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn check_pattern(pattern: &str) -> Result<(), EngineError> {
    let invalid = |why: &str| EngineError::Invalid {
        what: "concurrency key",
        why: why.to_owned(),
        help: Some("name a key, the beginning of keys with * at its end, or * for all others".to_owned()),
    };
    if pattern == "*" {
        return Ok(());
    }
    let begin = pattern.strip_suffix('*').unwrap_or(pattern);
    SlotKey::new(pattern).map_err(|error| invalid(error.why))?;
    if begin.contains('*') {
        return Err(invalid("a * stands for the rest of a key, so it can only be at the end"));
    }
    Ok(())
}

/// A priority that puts a waiter before the best one of its key.
fn above(waiter: &StoredProcess, best: &StoredProcess) -> Result<Priority, EngineError> {
    let highest = best.process.priority;
    match highest.above() {
        Some(higher) => Ok(higher),
        // Among equals the earlier submit goes first.
        None if waiter.seq < best.seq => Ok(highest),
        None => Err(EngineError::Invalid {
            what: "move",
            why: format!("process {} is first with the highest priority there is", best.process.id),
            help: Some(format!("give {} a lower priority first", best.process.id)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_its_star_at_the_end() {
        for good in ["*", "k", "claude-*"] {
            assert!(check_pattern(good).is_ok(), "{good}");
        }
        for bad in ["", "a*b", "**", "a\u{1b}*", &"k".repeat(300)] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
