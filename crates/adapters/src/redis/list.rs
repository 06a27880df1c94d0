//! Lists records in pages.

use super::RedisStore;
use super::codec::{read, record_id};
use super::script::{LIST, ScriptArgs};
use crate::prefix;
use longhaul_domain::{Level, Seq};
use longhaul_ports::{Listing, PageKey, PageRequest, ProcessFilter, SortOrder, StoreError};
use std::collections::BTreeSet;

/// Maximum number of records on a page.
const MAX_PAGE: u32 = 1_000;
/// Maximum total size of the records on one page, in bytes. When a page reaches this size, it ends early, even if it
/// has fewer records than requested.
const MAX_PAGE_BYTES: u64 = 8 * 1024 * 1024;
/// Maximum number of processes that a script examines in one run. A longer run would delay other clients.
const SCAN_BATCH: u64 = 2_000;
/// Maximum number of script runs for one page. After these runs, the page is returned with the records found so far.
const STEPS: u32 = 100;

impl RedisStore {
    pub(super) async fn page(
        &self,
        filter: &ProcessFilter,
        page: &PageRequest,
    ) -> Result<Listing, StoreError> {
        let mut listing = Listing { processes: Vec::new(), next: None, damaged: Vec::new() };
        let Some(conditions) = conditions(filter) else {
            return Ok(listing);
        };
        let limit = page.limit.clamp(1, MAX_PAGE) as usize;
        let mut after = page.after;
        for _ in 0..STEPS {
            let mut args = ScriptArgs::default();
            args.text(match page.order {
                SortOrder::NewestFirst => "new",
                SortOrder::OldestFirst => "old",
            })
            .text(&after.map(|PageKey(Seq(after))| after.to_string()).unwrap_or_default())
            .number(limit.saturating_sub(listing.processes.len()) as u64)
            .number(MAX_PAGE_BYTES)
            .number(SCAN_BATCH);
            for (kind, value) in &conditions {
                args.text(kind).bytes(value);
            }
            let mut reply = self.link.read(&LIST, args).await?;
            after = reply.optional_signed()?.map(|seq| PageKey(Seq(u64::try_from(seq).unwrap_or(0))));
            let full = reply.word()? == "1";
            while !reply.is_empty() {
                let mut row = reply.list()?;
                let Some(id) = record_id(&mut row)? else { continue };
                match read(id, &mut row) {
                    Ok(stored) => listing.processes.push(stored),
                    Err(error) if error.is_damage() => {
                        self.named.name(&error);
                        listing.damaged.push(id);
                    }
                    Err(error) => return Err(error),
                }
            }
            if after.is_none() || full {
                break;
            }
        }
        listing.next = after;
        Ok(listing)
    }
}

/// Translates a filter into conditions for the script. Returns `None` if no record can match.
fn conditions(filter: &ProcessFilter) -> Option<Vec<(&'static str, Vec<u8>)>> {
    let mut conditions = Vec::new();
    if let Some(begin) = &filter.id_prefix {
        let (low, high) = prefix::range(begin)?;
        conditions.push(("low", low.to_vec()));
        conditions.push(("high", high.to_vec()));
    }
    let words: BTreeSet<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    conditions.extend(words.into_iter().map(|word| ("or", format!("s:{word}").into_bytes())));
    let level = filter.level.filter(|level| *level > Level(0)).map(|level| level.to_string());
    let kind = filter.kind.as_ref().map(ToString::to_string);
    let indexes = [
        ("owned:", filter.owner.as_ref().map(|name| name.as_str())),
        ("x:name:", filter.name.as_ref().map(|name| name.as_str())),
        ("x:key:", filter.key.as_ref().map(|name| name.as_str())),
        ("x:agent:", filter.agent.as_ref().map(|name| name.as_str())),
        ("x:session:", filter.session.as_ref().map(|name| name.as_str())),
        ("x:project:", filter.project.as_ref().map(|name| name.as_str())),
        ("x:node:", filter.node.as_ref().map(|name| name.as_str())),
        ("x:level:", level.as_deref()),
        ("x:kind:", kind.as_deref()),
    ];
    for (index, value) in indexes {
        conditions.extend(value.map(|value| ("in", format!("{index}{value}").into_bytes())));
    }
    let not_kind = filter.not_kind.as_ref().map(|kind| format!("x:kind:{kind}").into_bytes());
    conditions.extend(not_kind.map(|index| ("not", index)));
    for above in [filter.parent, filter.ancestor].into_iter().flatten() {
        conditions.push(("in", [b"x:below:".as_slice(), above.as_uuid().as_bytes()].concat()));
    }
    if let Some(parent) = filter.parent {
        conditions.push(("parent", parent.as_uuid().as_bytes().to_vec()));
    }
    if filter.level == Some(Level(0)) {
        conditions.push(("root", Vec::new()));
    }
    Some(conditions)
}
