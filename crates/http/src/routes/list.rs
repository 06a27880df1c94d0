//! Lists.

use crate::convert::{Depth, rfc3339, views};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::{Query, invalid};
use crate::reply::Reply;
use axum::extract::State;
use longhaul_domain::{Level, ProcessId, Seq, SessionId, Status};
use longhaul_engine::ports::{Filter, Listing, Order, PageAsk, PageKey};
use longhaul_engine::{Engine, EngineError};
use longhaul_wire::api::ProcessList;

/// A page unless another size is asked for.
const USUAL: u32 = 50;
/// The largest page.
const MOST: u32 = 1_000;
const PARAMETERS: &[&str] = &[
    "status", "all", "live", "project", "session", "name", "node", "key", "level", "agent_id", "parent",
    "tree", "type", "prefix", "usage", "limit", "cursor",
];

/// `GET /v1/processes`.
pub(crate) async fn list(State(face): State<Face>, query: Query) -> Result<Reply<ProcessList>, Fault> {
    query.only(PARAMETERS)?;
    listed(&face.engine, query.read("session")?, Span::Live, &query).await
}

/// The processes of a session, live and ended, by the same parameters.
pub(super) async fn of_session(
    engine: &Engine,
    session: &SessionId,
    query: &Query,
) -> Result<Reply<ProcessList>, Fault> {
    query.only(PARAMETERS)?;
    if query.text("session").is_some() {
        return Err(Fault::invalid("session", "the path names one already"));
    }
    listed(engine, Some(session.clone()), Span::All, query).await
}

/// The root of the tree that `tree` names any member of.
pub(super) async fn root(engine: &Engine, query: &Query) -> Result<Option<ProcessId>, Fault> {
    let Some(reference) = query.text("tree") else { return Ok(None) };
    let member = engine.find(reference).await?;
    Ok(Some(engine.process(member).await?.process.lineage.root(member)))
}

/// What is listed where nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Live,
    All,
}

async fn listed(
    engine: &Engine,
    session: Option<SessionId>,
    usual: Span,
    query: &Query,
) -> Result<Reply<ProcessList>, Fault> {
    let filter = Filter { session, ..filter(engine, usual, query).await? };
    let page = page(query)?;
    let depth = Depth::asked(query)?;
    let mut listing = engine.list(&filter, &page).await?;
    if let Some(root) = filter.ancestor {
        add_root(engine, root, &filter, &page, &mut listing).await?;
    }
    Ok(Reply::ok(ProcessList {
        processes: views(engine, &listing.processes, depth).await,
        cursor: listing.next.map(|PageKey(seq)| seq.to_string()),
        at: rfc3339(engine.now()),
    }))
}

/// The root is older than all its descendants, so it stands at the end of the last page.
async fn add_root(
    engine: &Engine,
    root: ProcessId,
    filter: &Filter,
    page: &PageAsk,
    listing: &mut Listing,
) -> Result<(), Fault> {
    if listing.next.is_some() {
        return Ok(());
    }
    let root = match engine.process(root).await {
        Ok(root) => root,
        Err(EngineError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_shown = page.after.is_some_and(|PageKey(after)| after <= root.seq);
    if is_shown || !(Filter { ancestor: None, ..filter.clone() }).admits(&root) {
        return Ok(());
    }
    match listing.processes.last() {
        Some(last) if listing.processes.len() >= page.most as usize => listing.next = Some(PageKey(last.seq)),
        Some(_) | None => listing.processes.push(root),
    }
    Ok(())
}

async fn filter(engine: &Engine, usual: Span, query: &Query) -> Result<Filter, Fault> {
    let parent = match query.text("parent") {
        Some(reference) => Some(engine.find(reference).await?),
        None => None,
    };
    Ok(Filter {
        statuses: statuses(query, usual)?,
        project: query.read("project")?,
        name: query.read("name")?,
        node: query.read("node")?,
        key: query.read("key")?,
        kind: query.read("type")?,
        agent: query.read("agent_id")?,
        level: query.read("level")?.map(Level),
        parent,
        ancestor: root(engine, query).await?,
        id_prefix: query.text("prefix").map(prefix).transpose()?,
        ..Filter::default()
    })
}

/// The statuses that are asked for; without any, the usual ones. `live` narrows what `all` widens.
fn statuses(query: &Query, usual: Span) -> Result<Vec<Status>, Fault> {
    let words: Vec<&str> = query.all("status").flat_map(|list| list.split(',')).collect();
    if !words.is_empty() {
        if query.text("live").is_some() {
            return Err(Fault::invalid("filter", "it has both `status` and `live`"));
        }
        return words
            .into_iter()
            .map(|word| word.parse().map_err(|error| invalid("status", word, &error)))
            .collect();
    }
    let live = query.text("live").map(|_| query.flag("live")).transpose()?;
    let all = match query.text("all") {
        Some(_) => query.flag("all")?,
        None => usual == Span::All,
    };
    let wants = |status: &Status| live.map_or(all || !status.is_ended(), |live| status.is_ended() != live);
    let wanted: Vec<Status> = Status::ALL.into_iter().filter(wants).collect();
    Ok(if wanted.len() == Status::ALL.len() { Vec::new() } else { wanted })
}

fn prefix(text: &str) -> Result<String, Fault> {
    let begin = text.strip_prefix("bg-").unwrap_or(text).to_ascii_lowercase();
    if begin.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        Ok(begin)
    } else {
        Err(invalid("prefix", text, &"ids are made of the digits 0 to 9 and a to f"))
    }
}

fn page(query: &Query) -> Result<PageAsk, Fault> {
    let most = query.read::<u32>("limit")?.unwrap_or(USUAL);
    if !(1..=MOST).contains(&most) {
        return Err(Fault::invalid("limit", format!("a page has 1 to {MOST} processes")));
    }
    Ok(PageAsk {
        order: Order::NewestFirst,
        after: query.read::<u64>("cursor")?.map(|seq| PageKey(Seq(seq))),
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lives_is_listed_unless_asked() {
        let live = statuses(&Query::parse(""), Span::Live).unwrap();
        assert!(live.contains(&Status::Pending) && !live.contains(&Status::Completed));
        assert!(statuses(&Query::parse("all=true"), Span::Live).unwrap().is_empty());
        let asked = statuses(&Query::parse("status=failed,timeout&status=error"), Span::Live).unwrap();
        assert_eq!(asked, [Status::Failed, Status::Timeout, Status::Failed]);
        assert!(statuses(&Query::parse("status=lost"), Span::Live).is_err());
        assert!(statuses(&Query::parse("status=failed&live=true"), Span::Live).is_err());
        assert_eq!(statuses(&Query::parse("live=true&all=true"), Span::Live).unwrap(), live);
        let ended = statuses(&Query::parse("live=false"), Span::Live).unwrap();
        assert!(ended.iter().all(|status| status.is_ended()) && ended.len() == 5);
        assert!(statuses(&Query::parse(""), Span::All).unwrap().is_empty());
        assert_eq!(statuses(&Query::parse("all=false"), Span::All).unwrap(), live);
        assert_eq!(statuses(&Query::parse("live=true"), Span::All).unwrap(), live);
    }

    #[test]
    fn page_has_one_to_a_thousand() {
        assert_eq!(page(&Query::parse("")).unwrap().most, 50);
        assert!(page(&Query::parse("limit=0")).is_err());
        assert!(page(&Query::parse("limit=1001")).is_err());
        assert!(page(&Query::parse("cursor=x")).is_err());
    }
}
