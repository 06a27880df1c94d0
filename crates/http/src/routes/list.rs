//! Lists.

use crate::convert::{rfc3339, view};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::{Query, invalid};
use crate::reply::Reply;
use axum::extract::State;
use longhaul_domain::{Seq, Status};
use longhaul_engine::Engine;
use longhaul_engine::ports::{Filter, Order, PageAsk, PageKey};
use longhaul_wire::api::ProcessList;

/// A page unless another size is asked for.
const USUAL: u32 = 50;
/// The largest page.
const MOST: u32 = 1_000;
const PARAMETERS: &[&str] = &[
    "status", "all", "project", "session", "name", "node", "key", "parent", "type", "prefix", "limit",
    "cursor",
];

/// `GET /v1/processes`.
pub(crate) async fn list(State(face): State<Face>, query: Query) -> Result<Reply<ProcessList>, Fault> {
    let engine = &face.engine;
    query.only(PARAMETERS)?;
    let filter = filter(engine, &query).await?;
    let listing = engine.list(&filter, &page(&query)?).await?;
    Ok(Reply::ok(ProcessList {
        processes: listing.processes.iter().map(|stored| view(engine, stored)).collect(),
        cursor: listing.next.map(|PageKey(seq)| seq.to_string()),
        at: rfc3339(engine.now()),
    }))
}

async fn filter(engine: &Engine, query: &Query) -> Result<Filter, Fault> {
    let parent = match query.text("parent") {
        Some(reference) => Some(engine.find(reference).await?),
        None => None,
    };
    Ok(Filter {
        statuses: statuses(query)?,
        session: query.read("session")?,
        project: query.read("project")?,
        name: query.read("name")?,
        node: query.read("node")?,
        key: query.read("key")?,
        kind: query.read("type")?,
        parent,
        id_prefix: query.text("prefix").map(prefix).transpose()?,
        ..Filter::default()
    })
}

/// The statuses that are asked for; without any, what lives.
fn statuses(query: &Query) -> Result<Vec<Status>, Fault> {
    let words: Vec<&str> = query.all("status").flat_map(|list| list.split(',')).collect();
    if !words.is_empty() {
        return words
            .into_iter()
            .map(|word| word.parse().map_err(|error| invalid("status", word, &error)))
            .collect();
    }
    if query.flag("all")? {
        return Ok(Vec::new());
    }
    Ok(Status::ALL.into_iter().filter(|status| !status.is_ended()).collect())
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
        let live = statuses(&Query::parse("")).unwrap();
        assert!(live.contains(&Status::Pending) && !live.contains(&Status::Completed));
        assert!(statuses(&Query::parse("all=true")).unwrap().is_empty());
        let asked = statuses(&Query::parse("status=failed,timeout&status=error")).unwrap();
        assert_eq!(asked, [Status::Failed, Status::Timeout, Status::Failed]);
        assert!(statuses(&Query::parse("status=lost")).is_err());
    }

    #[test]
    fn page_has_one_to_a_thousand() {
        assert_eq!(page(&Query::parse("")).unwrap().most, 50);
        assert!(page(&Query::parse("limit=0")).is_err());
        assert!(page(&Query::parse("limit=1001")).is_err());
        assert!(page(&Query::parse("cursor=x")).is_err());
    }
}
