//! Processes and sessions as resources: `longhaul://process/{id}`, `longhaul://session/{id}`.

use crate::answer::items;
use crate::calls::{ProcessReference, ToolContext};
use crate::error::ToolError;
use longhaul_api::{Api, DetailLevel};
use longhaul_domain::{ProcessId, SessionId};
use longhaul_wire::api::{ListRequest, ReadRequest};
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

/// Start of the URI of a process resource.
const URI_PREFIX: &str = "longhaul://process/";
/// Start of the URI of a session resource.
const SESSION: &str = "longhaul://session/";
/// End of the URI of an output resource.
const LOG: &str = "/log";
/// Token budget for one page of output.
const LOG_TOKENS: u32 = 8_000;
/// Maximum number of listed resources of each kind. Only live resources are listed, newest first.
const MAX_RESOURCES: u32 = 50;

/// Returns the resource URI of a process.
pub(crate) fn uri(id: &str) -> String {
    format!("{URI_PREFIX}{id}")
}

/// Returns the id of the process in the URI of a process resource.
pub(crate) fn process(uri: &str) -> Option<ProcessId> {
    uri.strip_prefix(URI_PREFIX)?.parse().ok()
}

/// Returns the id of the session in the URI of a session resource.
pub(crate) fn session(uri: &str) -> Option<SessionId> {
    uri.strip_prefix(SESSION)?.parse().ok()
}

/// Returns the URI templates of all resources.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("longhaul://process/{id}", "process")
            .with_title("Process")
            .with_description("Complete record of a process")
            .with_mime_type("application/json"),
        ResourceTemplate::new("longhaul://process/{id}/log", "log")
            .with_title("Output")
            .with_description("Head and tail of the output of a process")
            .with_mime_type("text/plain"),
        ResourceTemplate::new("longhaul://session/{id}", "session")
            .with_title("Session")
            .with_description(
                "Live and recently ended processes of a session; subscribe to be notified when one \
                               ends",
            )
            .with_mime_type("application/json"),
    ]
}

/// Lists the live resources: first the sessions, then the processes.
pub(crate) async fn listed(api: &Api) -> Result<Vec<Resource>, ToolError> {
    let request = ListRequest { limit: Some(MAX_RESOURCES), ..ListRequest::default() };
    let sessions = api.sessions().await?.sessions.into_iter().filter(|session| session.live > 0);
    let sessions = sessions.take(usize::try_from(MAX_RESOURCES).unwrap_or(usize::MAX)).map(|session| {
        Resource::new(format!("{SESSION}{}", session.session_id), format!("session {}", session.session_id))
            .with_description(format!("{} live, {} ended", session.live, session.ended))
    });
    let processes = api.list(&request).await?.processes.into_iter().map(|view| {
        let name = view.name.unwrap_or_else(|| view.id.clone());
        Resource::new(uri(&view.id), name).with_description(format!("{} ({})", view.kind, view.status))
    });
    Ok(sessions.chain(processes).map(|resource| resource.with_mime_type("application/json")).collect())
}

/// Reads a resource. Returns `None` if the URI is not a longhaul URI.
pub(crate) async fn read(desk: ToolContext<'_>, uri: &str) -> Option<Result<ResourceContents, ToolError>> {
    if let Some(session) = session(uri) {
        return Some(standing(desk.api, &session, uri).await);
    }
    let reference = uri.strip_prefix(URI_PREFIX)?;
    Some(match reference.strip_suffix(LOG) {
        Some(reference) => log(desk, &reference.into(), uri).await,
        None => record(desk, &reference.into(), uri).await,
    })
}

async fn record(
    desk: ToolContext<'_>,
    reference: &ProcessReference,
    uri: &str,
) -> Result<ResourceContents, ToolError> {
    let view = desk.api.show(&desk.find(reference).await?, DetailLevel::Usage).await?;
    let text = serde_json::to_string(&view).unwrap_or_default();
    Ok(ResourceContents::text(text, uri).with_mime_type("application/json"))
}

/// Returns the state of a session: its live processes, and the processes that ended most recently.
async fn standing(api: &Api, session: &SessionId, uri: &str) -> Result<ResourceContents, ToolError> {
    let asked = |live| ListRequest { live: Some(live), limit: Some(MAX_RESOURCES), ..ListRequest::default() };
    let live = api.session(session.as_str(), &asked(true)).await?;
    let ended = api.session(session.as_str(), &asked(false)).await?;
    let text = json!({
        "session": session.as_str(),
        // A session that has no process at all is not complete.
        "all_complete": live.processes.is_empty() && !ended.processes.is_empty(),
        "live": items(&live.processes),
        "ended": items(&ended.processes),
    });
    Ok(ResourceContents::text(text.to_string(), uri).with_mime_type("application/json"))
}

async fn log(
    desk: ToolContext<'_>,
    reference: &ProcessReference,
    uri: &str,
) -> Result<ResourceContents, ToolError> {
    let request = ReadRequest { max_tokens: Some(LOG_TOKENS), ..ReadRequest::default() };
    let page = desk.api.read_output(&desk.find(reference).await?, &request).await?;
    let text = match (page.head, page.omitted) {
        (Some(head), Some(omitted)) => format!("{head}\n… {} bytes …\n{}", omitted.bytes, page.text),
        (Some(head), None) => format!("{head}{}", page.text),
        (None, _) => page.text,
    };
    Ok(ResourceContents::text(text, uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_record_names_its_process() {
        let id = "01970000-0000-7000-8000-000000000001";
        assert_eq!(process(&uri(id)).map(|id| id.to_string()).as_deref(), Some(id));
        for wrong in ["longhaul://process/", "longhaul://process/x/log", "file:///etc/passwd"] {
            assert!(process(wrong).is_none(), "{wrong}");
        }
    }
}
