//! Launches.

use crate::body::Ask;
use crate::entry::Entry;
use crate::refused::Refused;
use crate::replay::{Key, of_key};
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::{Api, Fault};
use longhaul_wire::api::{LaunchRequest, Launched};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::post("/v1/processes", launch)
            .named("launch_process", "Launches a command, or registers reported work")
            .idempotent()
            .needs::<LaunchRequest>()
            .answers::<Launched>(201, "It was launched")
            .answers::<Launched>(200, "Its launch key was taken before: the process that has it"),
    ]
}

/// `POST /v1/processes`; an `Idempotency-Key` is a launch key, so that the store knows it for good.
async fn launch(
    State(api): State<Api>,
    Key(key): Key,
    Ask(mut request): Ask<LaunchRequest>,
) -> Result<Reply<Launched>, Refused> {
    let has_key = key.is_some();
    if let Some(key) = key {
        if request.launch_key.as_ref().is_some_and(|other| *other != key) {
            let why = "the header Idempotency-Key and the body name different ones";
            return Err(Fault::invalid("launch key", why).into());
        }
        request.launch_key = Some(key);
    }
    let launched = api.launch(request).await.map_err(|fault| if has_key { of_key(fault) } else { fault })?;
    Ok(Reply::launched(launched))
}
