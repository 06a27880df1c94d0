//! Results of a wait.

use crate::answer::JsonObject;
use crate::answer::status::{StatusContext, brief_schema, whole};
use crate::schema;
use longhaul_wire::api::ProcessView;
use schemars::JsonSchema;
use serde::Serialize;

/// Fields of a process that has not ended.
const LIVE_FIELDS: &[&str] =
    &["process_id", "name", "status", "stage", "progress", "eta_s", "conditions", "ready", "listening_ports"];
/// Minimum of the suggested wait time, in seconds.
const MIN_SUGGESTED_WAIT: f64 = 5.0;
/// Maximum of the suggested wait time, in seconds.
const MAX_SUGGESTED_WAIT: f64 = 600.0;
/// Suggested wait time in seconds if no process has an estimate of its remaining time.
const DEFAULT_SUGGESTED_WAIT: f64 = 55.0;

/// Result of `wait_for_process`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WaitResult {
    pub(crate) reason: WaitEndReason,
    pub(crate) processes: Vec<WaitedProcess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matched: Option<MatchedLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) suggested_wait_s: Option<u64>,
}

/// Reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitEndReason {
    /// The condition was met.
    Met,
    /// The condition can no longer be met.
    Ended,
    /// The time limit was reached first.
    Timeout,
}

/// Process in the result of a wait.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct WaitedProcess(pub(crate) JsonObject);

/// Line of output that matched the pattern of a wait.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct MatchedLine {
    pub(crate) process_id: String,
    pub(crate) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

/// Converts a process that has not ended to its form in the result of a wait.
pub(crate) fn waiting(view: &ProcessView) -> WaitedProcess {
    let mut fields = whole(view, &StatusContext::default());
    fields.retain(|name, _| LIVE_FIELDS.contains(&name.as_str()));
    WaitedProcess(fields)
}

/// Returns the suggested time for the next wait, in seconds. This is the longest estimated remaining time of the
/// processes.
pub(crate) fn suggested_wait(views: &[ProcessView]) -> u64 {
    let ends = views.iter().filter_map(|view| view.eta_ms).max();
    // The suggestion is rounded to whole seconds and limited to ten minutes.
    #[expect(clippy::cast_precision_loss, reason = "estimates are shown with one digit of precision")]
    let seconds = ends.map_or(DEFAULT_SUGGESTED_WAIT, |millis| {
        (millis as f64 / 1_000.0).clamp(MIN_SUGGESTED_WAIT, MAX_SUGGESTED_WAIT)
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is between the minimum and the maximum"
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

/// Returns the schema of [`WaitResult`].
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
