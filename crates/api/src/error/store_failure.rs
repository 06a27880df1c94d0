//! Conversion of the errors of stores to the problems that clients get.

use super::{ApiError, refused};
use longhaul_engine::ports::StoreError;
use longhaul_engine::with_causes;

/// Returns the error for a client whose request failed because of the store.
pub(super) fn unstored(error: &StoreError) -> ApiError {
    let title = "the store failed";
    let why = with_causes(error);
    match error {
        StoreError::ReadOnly { .. } => {
            ApiError::new(503, "store_read_only", title).because(why).help(DOCTOR_HELP)
        }
        StoreError::Refused(refusal) => refused(refusal),
        StoreError::Missing { .. } => ApiError::new(404, "process_not_found", error.to_string()),
        StoreError::Conflict { .. } => ApiError::new(409, "revision_conflict", title)
            .because(why)
            .help("read the process again, then repeat the request"),
        StoreError::Unavailable { .. } => ApiError::new(503, "store_unavailable", title)
            .because(format!("{why}; nothing was changed, and running work continues"))
            .help(DOCTOR_HELP),
        StoreError::Unknown { .. } => {
            ApiError::new(503, "outcome_unknown", "the store may or may not have made the change")
                .because(why)
                .help("check whether the change was made before you try again; a launch with a launch key can be repeated safely")
        }
        StoreError::Fenced { .. } => ApiError::new(503, "store_unavailable", title)
            .because(why)
            .help("try again in a second: the node is registering again"),
        StoreError::Corrupt { what, remedy } => ApiError::new(503, "store_unavailable", title)
            .because(format!("the store is damaged: {what}"))
            .help(remedy.clone()),
        StoreError::Format { .. } => ApiError::new(503, "store_unavailable", title)
            .because(why)
            .help(error.format_help().unwrap_or_default()),
        StoreError::NewerRecord { .. } => ApiError::new(503, "store_unavailable", title)
            .because(why)
            .help("use a node that runs the newer program, or upgrade this node; nothing was changed"),
        _ => ApiError::new(500, "internal", title).because(why),
    }
}

/// Advice for the user if the store does not work.
const DOCTOR_HELP: &str =
    "`longhaul doctor` shows what is wrong with the store and what to do; then try again";
