//! Hints that an agent has more live processes than the one that is shown.

use crate::dispatch::VerbContext;
use crate::render::label;
use crate::shell_word::shell_word;
use longhaul_client::RequestPath;
use longhaul_wire::api::ProcessList;

/// Maximum number of processes that are counted.
const MAX_COUNTED: &str = "100";

/// If the reference names an agent with several live processes, prints which process the command uses. Does nothing if
/// hints are off, because the hint costs a request.
pub(super) async fn hint_at_others_of_agent(context: &VerbContext, reference: &str) {
    let Some(agent) = reference.strip_prefix("agent:").filter(|_| context.console.wants_hints()) else {
        return;
    };
    let path = RequestPath::processes().with("agent_id", agent).with("limit", MAX_COUNTED);
    // The hint is not essential, so ignore a failed request.
    let Ok(list) = context.client.fetch::<ProcessList>(&path).await else { return };
    if let [newest, _, ..] = list.processes.as_slice() {
        context.console.hint(&format!(
            "agent {agent} has {} live processes; this is the newest one: {}; list all: longhaul status --agent-id {}",
            list.processes.len(),
            label(newest),
            shell_word(agent)
        ));
    }
}
