//! What a wait came to.

use crate::answer::JsonObject;
use crate::answer::status::{StatusContext, brief_schema, whole};
use crate::schema;
use longhaul_wire::api::ProcessView;
use schemars::JsonSchema;
use serde::Serialize;

/// What is told of a process that goes on.
const LIVE_FIELDS: &[&str] =
    &["process_id", "name", "status", "stage", "progress", "eta_s", "conditions", "ready", "listening_ports"];
/// The shortest wait that is suggested, in seconds.
const MIN_SUGGESTED_WAIT: f64 = 5.0;
/// The longest wait that is suggested, in seconds.
const MAX_SUGGESTED_WAIT: f64 = 600.0;
/// What is suggested where nothing is known, in seconds.
const DEFAULT_SUGGESTED_WAIT: f64 = 55.0;

/// The answer of `wait_for_process`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WaitResult {
    pub(crate) reason: WaitEndReason,
    pub(crate) processes: Vec<WaitedProcess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched: Option<MatchedLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggested_wait_s: Option<u64>,
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitEndReason {
    /// What was waited for is true.
    Met,
    /// It cannot become true any more.
    Ended,
    /// The time was over first.
    Timeout,
}

/// A process that was waited for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct WaitedProcess(pub(crate) JsonObject);

/// A line of output that was waited for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct MatchedLine {
    pub(crate) process_id: String,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

/// What is told of a process that goes on.
pub(crate) fn waiting(view: &ProcessView) -> WaitedProcess {
    let mut fields = whole(view, &StatusContext::default());
    fields.retain(|name, _| LIVE_FIELDS.contains(&name.as_str()));
    WaitedProcess(fields)
}

/// How long to wait the next time, in seconds: until the last of them is expected to be done.
pub(crate) fn suggested_wait(views: &[ProcessView]) -> u64 {
    let ends = views.iter().filter_map(|view| view.eta_ms).max();
    // Only whole seconds are told, of at most ten minutes.
    #[expect(clippy::cast_precision_loss, reason = "an estimate is no more exact than this")]
    let seconds = ends.map_or(DEFAULT_SUGGESTED_WAIT, |millis| {
        (millis as f64 / 1_000.0).clamp(MIN_SUGGESTED_WAIT, MAX_SUGGESTED_WAIT)
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between the shortest and the longest"
    )]
    let whole = seconds.ceil() as u64;
    whole
}

impl JsonSchema for WaitedProcess {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Waited".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut brief = brief_schema();
        brief.insert("required".to_owned(), serde_json::json!(["process_id", "status"]));
        brief.into()
    }
}

/// The schema of the answer.
pub(crate) fn wait_schema() -> JsonObject {
    schema::bare::<WaitResult>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggested_wait_follows_the_estimate_within_reason() {
        let view = |eta_ms| ProcessView { eta_ms, ..ProcessView::default() };
        assert_eq!(suggested_wait(&[]), 55);
        assert_eq!(suggested_wait(&[view(None)]), 55);
        assert_eq!(suggested_wait(&[view(Some(1)), view(None)]), 5);
        assert_eq!(suggested_wait(&[view(Some(90_100)), view(Some(20))]), 91);
        assert_eq!(suggested_wait(&[view(Some(u64::MAX))]), 600);
    }
}
