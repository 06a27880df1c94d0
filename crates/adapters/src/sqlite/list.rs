//! Pages of records.

use super::failure::StepAbort;
use super::{label_index, row};
use crate::prefix;
use longhaul_domain::{Level, ProcessId, Seq, Status};
use longhaul_ports::{Listing, PageKey, PageRequest, ProcessFilter, SortOrder, StoredProcess};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::collections::BTreeSet;

/// Maximum total size of the records on a page, in bytes. A page that reaches this size contains fewer records.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of records on a page.
const MAX_PAGE: u32 = 1_000;

/// Number of records at the start of a page that are scanned before an index is used. Most requests ask for new
/// records, and new records are not in the label index yet.
const WINDOW: i64 = 256;
/// A result with fewer rows than this counts as small.
const SMALL_RESULT: u32 = 1_000;

pub(super) fn page(
    connection: &Connection,
    filter: &ProcessFilter,
    page: &PageRequest,
) -> Result<Listing, StepAbort> {
    let Some(query) = ListQuery::of(connection, filter)? else {
        return Ok(Listing { processes: Vec::new(), next: None, damaged: Vec::new() });
    };
    let mut list_page = ListPage { limit: page.limit.clamp(1, MAX_PAGE) as usize, ..ListPage::default() };
    let indexed_up_to = label_index::indexed_up_to(connection)?;
    let after = page.after.map(|PageKey(after)| row::int(after.0));
    match (&query.lead, page.order) {
        (None, order) => {
            let (above, below) = match order {
                SortOrder::NewestFirst => (0, after.unwrap_or(i64::MAX)),
                SortOrder::OldestFirst => (after.unwrap_or(0), i64::MAX),
            };
            query.walk(connection, &mut list_page, order, above, below)?;
        }
        (Some(lead), SortOrder::NewestFirst) => {
            let newest: i64 = connection
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM process")?
                .query_row([], |row| row.get(0))?;
            let below = after.unwrap_or(i64::MAX).min(newest.saturating_add(1));
            let seam = indexed_up_to.min(below.saturating_sub(WINDOW)).max(0);
            query.walk(connection, &mut list_page, page.order, seam, below)?;
            query.follow(connection, &mut list_page, lead, page.order, 0, seam.saturating_add(1))?;
        }
        (Some(lead), SortOrder::OldestFirst) => {
            let above = after.unwrap_or(0);
            query.follow(
                connection,
                &mut list_page,
                lead,
                page.order,
                above,
                indexed_up_to.saturating_add(1),
            )?;
            query.walk(connection, &mut list_page, page.order, above.max(indexed_up_to), i64::MAX)?;
        }
    }
    Ok(Listing {
        next: list_page.last.filter(|_| list_page.more).map(|seq| PageKey(Seq(row::uint(seq)))),
        processes: list_page.processes,
        damaged: list_page.damaged,
    })
}

/// The page that is being collected.
#[derive(Default)]
struct ListPage {
    limit: usize,
    processes: Vec<StoredProcess>,
    bytes: usize,
    damaged: Vec<ProcessId>,
    /// Sequence number of the last row that was read.
    last: Option<i64>,
    /// True if another matching row was found that does not fit on the page.
    more: bool,
}

impl ListPage {
    fn add(&mut self, connection: &Connection, row: &Row<'_>) -> Result<(), StepAbort> {
        self.more = self.processes.len() == self.limit || self.bytes > MAX_PAGE_BYTES;
        if self.more {
            return Ok(());
        }
        for column in [4, 5] {
            let bytes = row.get_ref(column)?.as_bytes_or_null().ok().flatten();
            self.bytes = self.bytes.saturating_add(bytes.map_or(0, <[u8]>::len));
        }
        self.last = Some(row.get(0)?);
        match row::stored(connection, row) {
            Ok(stored) => self.processes.push(stored),
            Err(StepAbort::Answer(error)) if error.is_damage() => {
                let id = row::id(row.get(8)?);
                tracing::error!(%id, %error, "omitted a damaged record from a list");
                self.damaged.push(id);
            }
            Err(halt) => return Err(halt),
        }
        Ok(())
    }
}

/// Conditions of a filter, and the values of their parameters.
#[derive(Default)]
struct ListQuery {
    conditions: Vec<String>,
    values: Vec<Value>,
    /// Index to use. `None` if no index is useful.
    lead: Option<IndexChoice>,
}

/// Index that finds candidates, so that not all records have to be scanned.
enum IndexChoice {
    Label {
        what: &'static str,
        value: Value,
    },
    /// Processes whose ids are in this range, given as the lowest and the highest id.
    Ids(Vec<u8>, Vec<u8>),
    /// Live processes that satisfy this condition on `slot_state`.
    Live(&'static str),
    /// Ended processes that have one of these statuses. `completed` is not among them.
    Ended(Vec<&'static str>),
}

impl ListQuery {
    /// Translates a filter into a query. Returns `None` if no record can match the filter.
    fn of(connection: &Connection, filter: &ProcessFilter) -> Result<Option<Self>, StepAbort> {
        let mut query = Self::default();
        // The first condition that has an index determines the index. The most selective conditions are tested first.
        if let Some(begin) = &filter.id_prefix {
            let Some((low, high)) = prefix::range(begin) else {
                return Ok(None);
            };
            query.compare("p.id >=", Value::Blob(low.to_vec()));
            query.compare("p.id <=", Value::Blob(high.to_vec()));
            // A shorter prefix matches too many ids.
            if begin.len() > 3 {
                query.lead = Some(IndexChoice::Ids(low.to_vec(), high.to_vec()));
            }
        }
        if let Some(parent) = filter.parent {
            query.label("parent", Some(blob(parent)));
        }
        if let Some(ancestor) = filter.ancestor {
            query.below(connection, ancestor)?;
        }
        query.statuses(connection, filter)?;
        if let Some(owner) = &filter.owner {
            query.compare("p.owner_node =", Value::Text(owner.to_string()));
            // A process with an owner holds a slot.
            query.lead.get_or_insert(IndexChoice::Live("slot_state = 1"));
        }
        for (what, value) in [
            ("name", filter.name.as_ref().map(|name| name.as_str())),
            ("key", filter.key.as_ref().map(|name| name.as_str())),
            ("agent", filter.agent.as_ref().map(|name| name.as_str())),
            ("session", filter.session.as_ref().map(|name| name.as_str())),
            ("project", filter.project.as_ref().map(|name| name.as_str())),
            ("node", filter.node.as_ref().map(|name| name.as_str())),
            ("kind", filter.kind.as_ref().map(ToString::to_string).as_deref()),
        ] {
            query.label(what, value.map(|value| Value::Text(value.to_owned())));
        }
        if let Some(kind) = &filter.not_kind {
            query.compare("p.kind <>", Value::Text(kind.to_string()));
        }
        if let Some(level) = filter.level {
            let value = Value::Integer(level.0.into());
            // Most processes are roots, and roots have no level label.
            if level == Level(0) {
                query.compare("p.level =", value);
            } else {
                query.label("level", Some(value));
            }
        }
        if !filter.statuses.is_empty() && filter.statuses.iter().all(is_unwell) {
            query.lead.get_or_insert(IndexChoice::Ended(words(filter)));
        }
        Ok(Some(query))
    }

    fn label(&mut self, what: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.compare(&format!("p.{what} ="), value.clone());
            self.lead.get_or_insert(IndexChoice::Label { what, value });
        }
    }

    fn compare(&mut self, side: &str, value: Value) {
        self.values.push(value);
        self.conditions.push(format!("{side} ?{}", self.values.len()));
    }

    /// Adds the condition for the descendants of a process. They are found through the root of their tree.
    fn below(&mut self, connection: &Connection, ancestor: ProcessId) -> Result<(), StepAbort> {
        let root: Option<Option<[u8; 16]>> = connection
            .prepare_cached("SELECT root FROM process WHERE id = ?1")?
            .query_row([ancestor.as_uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        // The root of a pruned ancestor is unknown, so all trees are scanned.
        if let Some(root) = root {
            self.label("root", Some(blob(root.map_or(ancestor, row::id))));
        }
        self.values.push(blob(ancestor));
        let place = self.values.len();
        self.conditions.push(format!("instr(p.ancestors, ?{place}) > 0"));
        Ok(())
    }

    fn statuses(&mut self, connection: &Connection, filter: &ProcessFilter) -> Result<(), StepAbort> {
        if filter.statuses.is_empty() {
            return Ok(());
        }
        let words = words(filter);
        self.conditions.push(format!("p.status IN ('{}')", words.join("', '")));
        if filter.statuses.iter().all(is_unwell) && are_few(connection, &words)? {
            self.lead.get_or_insert(IndexChoice::Ended(words));
            return Ok(());
        }
        let (ended, pending) = (
            filter.statuses.iter().any(|status| status.is_ended()),
            filter.statuses.contains(&Status::Pending),
        );
        let live = match (ended, pending) {
            (true, _) => return Ok(()),
            (false, true) => "slot_state < 3",
            // An active process is neither waiting nor ended. A process with a delayed start or retry also counts as
            // active.
            (false, false) => "slot_state BETWEEN 1 AND 2",
        };
        self.lead.get_or_insert(IndexChoice::Live(live));
        Ok(())
    }

    /// Scans all records between two sequence numbers.
    fn walk(
        &self,
        connection: &Connection,
        list_page: &mut ListPage,
        order: SortOrder,
        above: i64,
        below: i64,
    ) -> Result<(), StepAbort> {
        let mut values = self.values.clone();
        values.extend([Value::Integer(above), Value::Integer(below)]);
        let (low, high) = (values.len() - 1, values.len());
        let sql = format!(
            "{} WHERE p.seq > ?{low} AND p.seq < ?{high} {} ORDER BY p.seq {}",
            row::SELECT.replacen("process p", "process p NOT INDEXED", 1),
            self.and(),
            direction(order),
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while !list_page.more
            && let Some(row) = rows.next()?
        {
            list_page.add(connection, row)?;
        }
        Ok(())
    }

    /// Reads the records between two sequence numbers that the index returns.
    fn follow(
        &self,
        connection: &Connection,
        list_page: &mut ListPage,
        lead: &IndexChoice,
        order: SortOrder,
        above: i64,
        below: i64,
    ) -> Result<(), StepAbort> {
        let between = [Value::Integer(above), Value::Integer(below)];
        let (from, values) = match lead {
            IndexChoice::Label { what, value } => (
                vec![format!("label WHERE what = '{what}' AND value = ?3")],
                [&between[..], std::slice::from_ref(value)].concat(),
            ),
            IndexChoice::Ids(low, high) => (
                vec!["process INDEXED BY by_id WHERE id >= ?3 AND id <= ?4".to_owned()],
                [&between[..], &[Value::Blob(low.clone()), Value::Blob(high.clone())]].concat(),
            ),
            IndexChoice::Live(slot_state) => (
                vec![format!("process INDEXED BY live WHERE slot_state < 3 AND {slot_state}")],
                between.to_vec(),
            ),
            IndexChoice::Ended(words) => {
                (words.iter().map(|word| ended_as(word)).collect(), between.to_vec())
            }
        };
        let parts: Vec<String> =
            from.iter().map(|from| format!("SELECT seq FROM {from} AND seq > ?1 AND seq < ?2")).collect();
        let sql = format!("{} ORDER BY seq {}", parts.join(" UNION ALL "), direction(order));
        let mut leading = connection.prepare_cached(&sql)?;
        let place = self.values.len() + 1;
        let sql = format!("{} WHERE p.seq = ?{place} {}", row::SELECT, self.and());
        let mut one = connection.prepare_cached(&sql)?;
        let mut values_of_one = self.values.clone();
        values_of_one.push(Value::Null);
        let mut seqs = leading.query(params_from_iter(values))?;
        while !list_page.more
            && let Some(seq) = seqs.next()?
        {
            if let Some(last) = values_of_one.last_mut() {
                *last = seq.get(0)?;
            }
            if let Some(row) = one.query(params_from_iter(&values_of_one))?.next()? {
                list_page.add(connection, row)?;
            }
        }
        Ok(())
    }

    fn and(&self) -> String {
        self.conditions.iter().map(|condition| format!(" AND {condition}")).collect()
    }
}

/// Returns the statuses of the filter without duplicates.
fn words(filter: &ProcessFilter) -> Vec<&'static str> {
    let words: BTreeSet<&'static str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    words.into_iter().collect()
}

fn is_unwell(status: &Status) -> bool {
    status.is_ended() && *status != Status::Completed
}

fn ended_as(word: &str) -> String {
    format!(
        "process INDEXED BY ended_unsuccessful
            WHERE slot_state = 3 AND status <> 'completed' AND status = '{word}'"
    )
}

/// Returns true if so few processes ended with one of these statuses that reading all of them is cheaper than using any
/// other index.
fn are_few(connection: &Connection, words: &[&str]) -> Result<bool, StepAbort> {
    let mut left = SMALL_RESULT;
    for word in words {
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {SMALL_RESULT})", ended_as(word));
        let count: u32 = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        left = left.saturating_sub(count);
    }
    Ok(left > 0)
}

const fn direction(order: SortOrder) -> &'static str {
    match order {
        SortOrder::NewestFirst => "DESC",
        SortOrder::OldestFirst => "ASC",
    }
}

fn blob(id: ProcessId) -> Value {
    Value::Blob(id.as_uuid().as_bytes().to_vec())
}
