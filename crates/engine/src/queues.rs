//! Queues: reading their state, and changing their policy at run time.

use crate::detached::run_to_completion;
use crate::engine::{ActionOutcome, Engine, EngineShared};
use crate::error::EngineError;
use longhaul_domain::{
    Action, ConfiguredLimits, NoOpReason, Pending, Policy, PolicyVersion, Priority, Process, ProcessId,
    QueueHold, SlotKey, State,
};
use longhaul_ports::{QueueState, Store, StoreError, StoreRejection, StoredProcess};
use std::sync::PoisonError;

/// Maximum number of tries of an update that failed because the policy had changed or an answer was lost.
const MAX_ATTEMPTS: u32 = 8;

impl Engine {
    /// Returns the queue of every concurrency key with a waiting or running process, or only the queue of `only`.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn queues(&self, only: Option<&SlotKey>) -> Result<Vec<QueueState>, EngineError> {
        Ok(self.core.parts.store.queues(only).await?)
    }

    /// Returns the current policy.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn policy(&self) -> Result<Policy, EngineError> {
        Ok(self.core.parts.store.policy().await?.1)
    }

    /// Sets the number of slots of a key or pattern; 0 means no limit. Running processes continue.
    ///
    /// `None` restores the configured number. If none is configured, the entry is removed and the next matching pattern
    /// applies. The pattern `*` covers every key that no other pattern covers.
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

    /// Puts the queue of a key on hold; running processes continue. An existing hold is not changed.
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

    /// Ends the hold of a queue, so that its waiting processes can start.
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

    /// Moves a waiting process to the front of its queue: its priority becomes one higher than that of the first
    /// waiting process. This priority may exceed the maximum that a launch can request; otherwise a further move could
    /// fail. The priority remains until it is changed again.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] if the process is not waiting, [`EngineError::Invalid`] if the first process of the
    /// queue has the highest possible priority.
    pub async fn move_first(&self, id: ProcessId) -> Result<ActionOutcome, EngineError> {
        let stored = self.process(id).await?;
        let priority = match (&stored.process.state, self.best_of(&stored).await?) {
            (State::Pending(Pending::Queued), Some(best)) if best.process.id == id => {
                return Ok(ActionOutcome { stored, changed: false, note: Some(NoOpReason::NoChange) });
            }
            (State::Pending(_), Some(best)) if best.process.id != id => above(&stored, &best)?,
            // No process is ahead of it, or it is not waiting. If it is not waiting, the domain rules reject
            // `Prioritize`.
            _ => stored.process.priority,
        };
        self.command(id, Action::Prioritize { priority }, None).await
    }

    /// Returns the first waiting process of the queue that a process belongs to.
    async fn best_of(&self, stored: &StoredProcess) -> Result<Option<StoredProcess>, EngineError> {
        let view = self.core.queue_of(&stored.process).await?;
        let Some(best) = view.and_then(|view| view.waiters.first().copied()) else {
            return Ok(None);
        };
        Ok(self.core.parts.store.load(&[best]).await?.pop().flatten())
    }

    /// Applies a change to the current policy of the store. Concurrent changes by other nodes are preserved.
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
    /// Returns the queue of a process. Returns `None` if no process holds a slot or is waiting in this queue.
    pub(crate) async fn queue_of(&self, process: &Process) -> Result<Option<QueueState>, EngineError> {
        let key = process.spec.key.as_ref();
        let views = self.parts.store.queues(key).await?;
        Ok(views.into_iter().find(|view| view.key.as_ref() == key))
    }
}

/// Applies configured limits that have changed since the last start. All other parts of the policy are preserved.
pub(crate) async fn apply_configured_limits(
    store: &dyn Store,
    configured: Option<&Policy>,
) -> Result<(PolicyVersion, Policy), EngineError> {
    let Some(Policy { slots, default_slots, .. }) = configured else {
        return Ok(store.policy().await?);
    };
    let configured = ConfiguredLimits { slots: slots.clone(), default_slots: *default_slots };
    replace_policy(store, |policy| policy.configure(&configured)).await
}

/// Reads the policy, changes it and writes it, with retries on conflicts. An unchanged policy is not written.
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
            // The policy has changed, or the write may have succeeded: read the newest policy and try again.
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
        help: Some("give a key, a key prefix followed by *, or * for all other keys".to_owned()),
    };
    if pattern == "*" {
        return Ok(());
    }
    let begin = pattern.strip_suffix('*').unwrap_or(pattern);
    SlotKey::new(pattern).map_err(|error| invalid(error.why))?;
    if begin.contains('*') {
        return Err(invalid("* stands for the rest of a key, so it must be the last character"));
    }
    Ok(())
}

/// Returns a priority that puts a process ahead of the first process of its queue.
fn above(waiter: &StoredProcess, best: &StoredProcess) -> Result<Priority, EngineError> {
    let highest = best.process.priority;
    match highest.above() {
        Some(higher) => Ok(higher),
        // If priorities are equal, the process that was submitted earlier is first.
        None if waiter.seq < best.seq => Ok(highest),
        None => Err(EngineError::Invalid {
            what: "move",
            why: format!(
                "process {} is first in the queue and has the highest possible priority",
                best.process.id
            ),
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
