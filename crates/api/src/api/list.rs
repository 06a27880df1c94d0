//! Lists of processes.

use crate::api::Api;
use crate::convert::{DetailLevel, rfc3339, updated_at, views};
use crate::error::ApiError;
use crate::hooks::HOOK_TYPE;
use longhaul_domain::{InvalidText, Level, ProcessId, Seq, SessionId, Status, Timestamp};
use longhaul_engine::ports::{EventCursor, Listing, PageKey, PageRequest, ProcessFilter, SortOrder};
use longhaul_engine::{Engine, EngineError};
use longhaul_wire::api::{ListRequest, ProcessList};
use std::str::FromStr;

/// Number of processes in one page if the request does not set a limit.
const DEFAULT_PAGE: u32 = 50;
/// Maximum number of processes in one page.
const MAX_PAGE: u32 = 1_000;

impl Api {
    /// Lists processes, newest first. By default the list contains only live processes and omits hook runs.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if the store does not respond.
    pub async fn list(&self, request: &ListRequest) -> Result<ProcessList, ApiError> {
        let session = parsed(request.session.as_deref(), "session")?;
        listed(&self.engine, session, ListScope::Live, request).await
    }

    /// Returns the id of the root of the tree that contains the referenced process.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the store does not respond.
    pub async fn root(&self, reference: &str) -> Result<ProcessId, ApiError> {
        let member = self.engine.find(reference).await?;
        Ok(self.engine.process(member).await?.process.lineage.root(member))
    }

    /// Lists all processes of a session, both live and ended.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if the store does not respond.
    pub async fn session(&self, session: &str, request: &ListRequest) -> Result<ProcessList, ApiError> {
        let session: SessionId = session.parse()?;
        if request.session.is_some() {
            return Err(ApiError::invalid("session", "the path already contains this value"));
        }
        listed(&self.engine, Some(session), ListScope::All, request).await
    }
}

/// Returns the root of the tree that contains the referenced process.
pub(super) async fn root(engine: &Engine, tree: Option<&str>) -> Result<Option<ProcessId>, ApiError> {
    let Some(reference) = tree else { return Ok(None) };
    let member = engine.find(reference).await?;
    Ok(Some(engine.process(member).await?.process.lineage.root(member)))
}

/// Parses an optional field of a request. `what` is the name of the field in the error message.
pub(super) fn parsed<T>(text: Option<&str>, what: &str) -> Result<Option<T>, ApiError>
where
    T: FromStr<Err = InvalidText>,
{
    text.map(|text| text.parse().map_err(|error: InvalidText| ApiError::unreadable(what, text, &error)))
        .transpose()
}

/// Processes that a list contains if its request names no statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListScope {
    Live,
    All,
}

async fn listed(
    engine: &Engine,
    session: Option<SessionId>,
    default: ListScope,
    request: &ListRequest,
) -> Result<ProcessList, ApiError> {
    let filter = ProcessFilter { session, ..filter(engine, default, request).await? };
    let page = page(request)?;
    let depth = if request.usage { DetailLevel::Usage } else { DetailLevel::Records };
    let mut listing = engine.list(&filter, &page).await?;
    if let Some(root) = filter.ancestor {
        add_root(engine, root, &filter, &page, &mut listing).await?;
    }
    let last_changed = last_changed(engine, &listing).await;
    Ok(ProcessList {
        last_changed: last_changed.map(rfc3339),
        processes: views(engine, &listing.processes, depth).await,
        cursor: listing.next.map(|PageKey(seq)| seq.to_string()),
        at: rfc3339(engine.now()),
        stale_since: engine.away_since().map(rfc3339),
        damaged: listing.damaged.iter().map(ToString::to_string).collect(),
    })
}

/// Returns the time of the latest event of any process or of the latest change of a listed process, whichever is later.
/// If the store does not respond, only the changes of the listed processes count.
async fn last_changed(engine: &Engine, listing: &Listing) -> Option<Timestamp> {
    let listed = listing.processes.iter().map(updated_at).max();
    if engine.away_since().is_some() {
        return listed;
    }
    listed.max(latest_event(engine).await)
}

async fn latest_event(engine: &Engine) -> Option<Timestamp> {
    let EventCursor(end) = engine.log_end().await.ok()?;
    let before = EventCursor(end.checked_sub(1)?);
    let page = engine.log(Some(before), 1, false).await.ok()?;
    page.events.last().map(|logged| logged.event.at)
}

/// Returns true if the list omits hook runs. A list contains hook runs only if the request asks for ended processes,
/// statuses, a type, a name, an id prefix, a parent or a tree.
fn leaves_hooks_out(request: &ListRequest) -> bool {
    let named = [&request.kind, &request.name, &request.prefix, &request.parent, &request.tree];
    request.statuses.is_empty()
        && request.all != Some(true)
        && request.live != Some(false)
        && named.iter().all(|each| each.is_none())
}

/// Appends the root of a tree to the last page of a list of its descendants. The list order is newest first, and the
/// root is the oldest process of the tree.
async fn add_root(
    engine: &Engine,
    root: ProcessId,
    filter: &ProcessFilter,
    page: &PageRequest,
    listing: &mut Listing,
) -> Result<(), ApiError> {
    if listing.next.is_some() {
        return Ok(());
    }
    let root = match engine.process(root).await {
        Ok(root) => root,
        Err(EngineError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_shown = page.after.is_some_and(|PageKey(after)| after <= root.seq);
    if is_shown || !(ProcessFilter { ancestor: None, ..filter.clone() }).admits(&root) {
        return Ok(());
    }
    match listing.processes.last() {
        Some(last) if listing.processes.len() >= page.limit as usize => {
            listing.next = Some(PageKey(last.seq))
        }
        Some(_) | None => listing.processes.push(root),
    }
    Ok(())
}

async fn filter(
    engine: &Engine,
    default: ListScope,
    request: &ListRequest,
) -> Result<ProcessFilter, ApiError> {
    let parent = match request.parent.as_deref() {
        Some(reference) => Some(engine.find(reference).await?),
        None => None,
    };
    Ok(ProcessFilter {
        statuses: statuses(request, default)?,
        project: parsed(request.project.as_deref(), "project")?,
        name: parsed(request.name.as_deref(), "name")?,
        node: parsed(request.node.as_deref(), "node")?,
        key: parsed(request.key.as_deref(), "key")?,
        kind: parsed(request.kind.as_deref(), "type")?,
        agent: parsed(request.agent_id.as_deref(), "agent_id")?,
        level: request.level.map(Level),
        not_kind: match request.not_type.as_deref() {
            None if leaves_hooks_out(request) => Some(HOOK_TYPE.parse()?),
            other => parsed(other, "not_type")?,
        },
        parent,
        ancestor: root(engine, request.tree.as_deref()).await?,
        id_prefix: request.prefix.as_deref().map(prefix).transpose()?,
        ..ProcessFilter::default()
    })
}

/// Returns the statuses that the request names, or the default statuses. An empty result means all statuses. The
/// request field `live` takes precedence over `all`.
fn statuses(request: &ListRequest, default: ListScope) -> Result<Vec<Status>, ApiError> {
    if !request.statuses.is_empty() {
        if request.live.is_some() {
            return Err(ApiError::invalid("filter", "both `status` and `live` are given"));
        }
        return request
            .statuses
            .iter()
            .map(|word| word.parse().map_err(|error| ApiError::unreadable("status", word, &error)))
            .collect();
    }
    let all = request.all.unwrap_or(default == ListScope::All);
    let wants =
        |status: &Status| request.live.map_or(all || !status.is_ended(), |live| status.is_ended() != live);
    let wanted: Vec<Status> = Status::ALL.into_iter().filter(wants).collect();
    Ok(if wanted.len() == Status::ALL.len() { Vec::new() } else { wanted })
}

fn prefix(text: &str) -> Result<String, ApiError> {
    let begin = text.strip_prefix("bg-").unwrap_or(text).to_ascii_lowercase();
    if begin.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        Ok(begin)
    } else {
        Err(ApiError::unreadable("prefix", text, &"an id contains only the digits 0 to 9 and a to f"))
    }
}

fn page(request: &ListRequest) -> Result<PageRequest, ApiError> {
    let limit = request.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::invalid("limit", format!("a page may have 1 to {MAX_PAGE} processes")));
    }
    let after = match request.cursor.as_deref() {
        Some(text) => Some(text.parse().map_err(|error| ApiError::unreadable("cursor", text, &error))?),
        None => None,
    };
    Ok(PageRequest { order: SortOrder::NewestFirst, after: after.map(|seq| PageKey(Seq(seq))), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_live_processes_are_listed_by_default() {
        let read = |statuses: &[&str], live, all, span| {
            let statuses = statuses.iter().map(ToString::to_string).collect();
            self::statuses(&ListRequest { statuses, live, all, ..ListRequest::default() }, span)
        };
        let live = read(&[], None, None, ListScope::Live).unwrap();
        assert!(live.contains(&Status::Pending) && !live.contains(&Status::Completed));
        assert!(read(&[], None, Some(true), ListScope::Live).unwrap().is_empty());
        let asked = read(&["failed", "timeout", "error"], None, None, ListScope::Live).unwrap();
        assert_eq!(asked, [Status::Failed, Status::Timeout, Status::Failed]);
        assert!(read(&["lost"], None, None, ListScope::Live).is_err());
        assert!(read(&["failed"], Some(true), None, ListScope::Live).is_err());
        assert_eq!(read(&[], Some(true), Some(true), ListScope::Live).unwrap(), live);
        let ended = read(&[], Some(false), None, ListScope::Live).unwrap();
        assert!(ended.iter().all(|status| status.is_ended()) && ended.len() == 5);
        assert!(read(&[], None, None, ListScope::All).unwrap().is_empty());
        assert_eq!(read(&[], None, Some(false), ListScope::All).unwrap(), live);
        assert_eq!(read(&[], Some(true), None, ListScope::All).unwrap(), live);
    }

    #[test]
    fn page_has_one_to_a_thousand() {
        let with = |limit, cursor: Option<&str>| {
            page(&ListRequest { limit, cursor: cursor.map(str::to_owned), ..ListRequest::default() })
        };
        assert_eq!(with(None, None).unwrap().limit, 50);
        assert!(with(Some(0), None).is_err());
        assert!(with(Some(1_001), None).is_err());
        assert!(with(None, Some("x")).is_err());
    }
}
