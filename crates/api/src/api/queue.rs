//! Use cases of queues: list them, set their number of slots, hold and release them.

use crate::api::Api;
use crate::convert::{idle, listing};
use crate::error::ApiError;
use longhaul_domain::SlotKey;
use longhaul_engine::Engine;
use longhaul_wire::api::{QueueListing, QueueRequest, SlotsRequest};

/// Maximum length of the name of the user or program that holds a queue, in bytes.
const MAX_NAME_LEN: usize = 256;

impl Api {
    /// Lists all queues, or the queue of one concurrency key. If no process uses the key, its queue is shown with the
    /// slots that the policy defines.
    ///
    /// # Errors
    /// Returns an error if the key is invalid, or if the store does not respond.
    pub async fn queues(&self, key: Option<&str>) -> Result<QueueListing, ApiError> {
        let key: Option<SlotKey> = key.map(str::parse).transpose()?;
        shown(&self.engine, key.as_ref()).await
    }

    /// Changes a queue: sets the number of its slots, holds the queue or releases it.
    ///
    /// # Errors
    /// Returns an error and changes nothing if the request is invalid.
    pub async fn change_queue(&self, pattern: &str, request: QueueRequest) -> Result<QueueListing, ApiError> {
        let engine = &self.engine;
        let key: SlotKey = pattern.parse()?;
        let is_pattern = pattern.ends_with('*');
        check(&request, is_pattern)?;
        if let Some(slots) = request.slots {
            let slots = match slots {
                SlotsRequest::Default => None,
                SlotsRequest::Count(slots) => Some(slots),
            };
            engine.set_slots(pattern, slots).await?;
        }
        match request.held {
            Some(true) => {
                engine.hold_queue(&key, request.by).await?;
            }
            Some(false) => {
                engine.release_queue(&key).await?;
            }
            None => {}
        }
        shown(engine, Some(&key).filter(|_| !is_pattern)).await
    }
}

fn check(request: &QueueRequest, is_pattern: bool) -> Result<(), ApiError> {
    let invalid = |why: &str| ApiError::invalid("change of a queue", why);
    if request.slots.is_none() && request.held.is_none() {
        return Err(invalid("the change contains no field").help("give `slots`, `held` or both"));
    }
    if request.held.is_some() && is_pattern {
        return Err(invalid("only one key at a time can be put on hold").help("give the key without *"));
    }
    match request.by.as_deref() {
        Some(_) if request.held != Some(true) => Err(invalid("`held_by` is given without `held`")),
        Some(by) if by.len() > MAX_NAME_LEN || by.chars().any(char::is_control) => Err(ApiError::invalid(
            "by",
            format!("the name has more than {MAX_NAME_LEN} bytes or contains a control character"),
        )),
        Some(_) | None => Ok(()),
    }
}

async fn shown(engine: &Engine, only: Option<&SlotKey>) -> Result<QueueListing, ApiError> {
    let policy = engine.policy().await?;
    let mut queues = engine.queues(only).await?;
    let known = |key: &SlotKey| queues.iter().any(|queue| queue.key.as_ref() == Some(key));
    let missing: Vec<SlotKey> = match only {
        Some(key) => Some(key).into_iter().filter(|key| !known(key)).cloned().collect(),
        // A queue on hold is listed even if no process is waiting in it.
        None => policy.held.keys().filter(|key| !known(key)).cloned().collect(),
    };
    queues.extend(missing.iter().map(|key| idle(key, &policy)));
    Ok(listing(&queues, &policy, engine.now()))
}
