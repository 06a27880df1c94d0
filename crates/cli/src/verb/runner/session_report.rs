//! Reports about a remote session.

use super::state_rules::PrintedState;
use longhaul_wire::api::UpdateRequest;
use longhaul_wire::runner_plan::RemoteState;

/// Returns the report of a state. The report contains the condition waiting for input only if the condition starts or
/// ends with this state.
pub(super) fn report_of(state: &PrintedState, before: Option<&PrintedState>) -> UpdateRequest {
    let waits = |state: &PrintedState| state.state == RemoteState::WaitingForInput;
    // Always report the condition with the first state, because an earlier attempt may have left the condition set.
    let changed = before.is_none_or(|before| waits(before) != waits(state));
    UpdateRequest { waiting_for_input: changed.then(|| waits(state)), ..stage(&state.text) }
}

/// Returns the report of a stage.
pub(super) fn stage(text: &str) -> UpdateRequest {
    UpdateRequest { stage: Some(text.to_owned()), ..UpdateRequest::default() }
}

/// Returns the report of an error.
pub(super) fn error(text: String) -> UpdateRequest {
    UpdateRequest { error: Some(text), ..UpdateRequest::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_for_input_is_reported_when_it_starts_and_when_it_ends() {
        let state = |state, text: &str| PrintedState { state, text: text.to_owned() };
        let (waits, runs) = (
            state(RemoteState::WaitingForInput, "AWAITING_PLAN_APPROVAL"),
            state(RemoteState::Running, "IN_PROGRESS"),
        );
        assert_eq!(report_of(&runs, None).waiting_for_input, Some(false));
        assert_eq!(report_of(&waits, Some(&runs)).waiting_for_input, Some(true));
        let other = state(RemoteState::WaitingForInput, "AWAITING_USER_FEEDBACK");
        let update = report_of(&other, Some(&waits));
        assert_eq!(
            (update.waiting_for_input, update.stage.as_deref()),
            (None, Some("AWAITING_USER_FEEDBACK"))
        );
        assert_eq!(report_of(&runs, Some(&waits)).waiting_for_input, Some(false));
    }
}
