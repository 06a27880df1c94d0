//! Pages of records.

use super::failure::Halt;
use super::row;
use longhaul_domain::{ProcessId, Seq, Status};
use longhaul_ports::{Filter, Listing, Order, PageAsk, PageKey};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

/// A page ends early when its records are larger than this together, in bytes.
const LARGEST_PAGE: usize = 8 * 1024 * 1024;
/// The most records on a page.
const MOST: u32 = 1_000;

pub(super) fn page(connection: &Connection, filter: &Filter, page: &PageAsk) -> Result<Listing, Halt> {
    let Some(question) = Question::of(connection, filter, page)? else {
        return Ok(Listing { processes: Vec::new(), next: None });
    };
    let most = page.most.clamp(1, MOST) as usize;
    let mut statement = connection.prepare_cached(&question.sql(page.order, most + 1))?;
    let mut rows = statement.query(params_from_iter(question.values))?;
    let mut processes = Vec::new();
    let mut bytes = 0_usize;
    let mut more = false;
    while let Some(row) = rows.next()? {
        if processes.len() == most || bytes > LARGEST_PAGE {
            more = true;
            break;
        }
        bytes = bytes.saturating_add(row.get_ref(4)?.as_bytes().map_or(0, <[u8]>::len));
        bytes = bytes.saturating_add(row.get_ref(5)?.as_bytes().map_or(0, <[u8]>::len));
        processes.push(row::stored(connection, row)?);
    }
    Ok(Listing {
        next: processes.last().filter(|_| more).map(|stored| PageKey(Seq(stored.seq.0))),
        processes,
    })
}

/// The conditions of a filter, and the values that they compare with.
#[derive(Default)]
struct Question {
    conditions: Vec<String>,
    values: Vec<Value>,
    /// Named where no condition leads to a good index by itself.
    index: Option<&'static str>,
}

impl Question {
    /// None if no record can pass.
    fn of(connection: &Connection, filter: &Filter, page: &PageAsk) -> Result<Option<Self>, Halt> {
        let mut question = Self::default();
        question.text("p.session", filter.session.as_ref().map(|name| name.as_str()));
        question.text("p.project", filter.project.as_ref().map(|name| name.as_str()));
        question.text("p.name", filter.name.as_ref().map(|name| name.as_str()));
        question.text("p.agent", filter.agent.as_ref().map(|name| name.as_str()));
        question.text("p.owner_node", filter.owner.as_ref().map(|name| name.as_str()));
        if let Some(key) = &filter.key {
            question.conditions.push("p.key <> ''".to_owned());
            question.text("p.key", Some(key.as_str()));
        }
        if let Some(parent) = filter.parent {
            question.compare("p.parent =", blob(parent));
        }
        if let Some(ancestor) = filter.ancestor {
            question.below(connection, ancestor)?;
        }
        if let Some(begin) = &filter.id_prefix {
            let Some((low, high)) = range(begin) else {
                return Ok(None);
            };
            question.compare("p.id >=", Value::Blob(low.to_vec()));
            question.compare("p.id <=", Value::Blob(high.to_vec()));
        }
        let led = !question.conditions.is_empty();
        question.text("p.node", filter.node.as_ref().map(|name| name.as_str()));
        question.text("p.kind", filter.kind.as_ref().map(ToString::to_string).as_deref());
        if let Some(level) = filter.level {
            question.compare("p.level =", Value::Integer(level.0.into()));
        }
        question.statuses(filter, led);
        if let Some(PageKey(after)) = page.after {
            let side = match page.order {
                Order::NewestFirst => "p.seq <",
                Order::OldestFirst => "p.seq >",
            };
            question.compare(side, Value::Integer(row::int(after.0)));
        }
        Ok(Some(question))
    }

    fn text(&mut self, column: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.compare(&format!("{column} ="), Value::Text(value.to_owned()));
        }
    }

    fn compare(&mut self, side: &str, value: Value) {
        self.values.push(value);
        self.conditions.push(format!("{side} ?{}", self.values.len()));
    }

    /// Descendants are found in the family of their root.
    fn below(&mut self, connection: &Connection, ancestor: ProcessId) -> Result<(), Halt> {
        let root: Option<Option<[u8; 16]>> = connection
            .prepare_cached("SELECT root FROM process WHERE id = ?1")?
            .query_row([ancestor.as_uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        // One that was swept may have been a root or not, so every family is looked through.
        if let Some(root) = root {
            let root = root.map_or(ancestor, row::id);
            self.compare("p.root =", blob(root));
        }
        self.values.push(blob(ancestor));
        let place = self.values.len();
        self.conditions.push(format!("instr(p.ancestors, ?{place}) > 0"));
        Ok(())
    }

    fn statuses(&mut self, filter: &Filter, led: bool) {
        if filter.statuses.is_empty() {
            return;
        }
        let words: Vec<String> =
            filter.statuses.iter().map(|status| format!("'{}'", status.as_str())).collect();
        self.conditions.push(format!("p.status IN ({})", words.join(", ")));
        let (ended, pending) = (
            filter.statuses.iter().any(|status| status.is_ended()),
            filter.statuses.contains(&Status::Pending),
        );
        let (condition, index) = match (ended, pending) {
            (true, _) => return,
            (false, true) => ("p.standing < 3", "live"),
            // What is at work neither waits nor has ended; a delay or a retry stands here too.
            (false, false) => ("p.standing BETWEEN 1 AND 2", "active"),
        };
        self.conditions.push(condition.to_owned());
        if !led {
            self.index = Some(index);
        }
    }

    fn sql(&self, order: Order, most: usize) -> String {
        let select = match self.index {
            Some(index) => row::SELECT.replacen("process p", &format!("process p INDEXED BY {index}"), 1),
            None => row::SELECT.to_owned(),
        };
        let conditions =
            if self.conditions.is_empty() { "1".to_owned() } else { self.conditions.join(" AND ") };
        let direction = match order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        format!("{select} WHERE {conditions} ORDER BY p.seq {direction} LIMIT {most}")
    }
}

fn blob(id: ProcessId) -> Value {
    Value::Blob(id.as_uuid().as_bytes().to_vec())
}

/// The lowest and the highest id that is printed so; none if no id is.
fn range(begin: &str) -> Option<([u8; 16], [u8; 16])> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    if begin.len() > 36 {
        return None;
    }
    let mut digits = Vec::with_capacity(32);
    for (place, c) in begin.bytes().enumerate() {
        match c {
            b'-' if HYPHENS.contains(&place) => {}
            b'0'..=b'9' if !HYPHENS.contains(&place) => digits.push(c - b'0'),
            b'a'..=b'f' if !HYPHENS.contains(&place) => digits.push(c - b'a' + 10),
            _ => return None,
        }
    }
    let fill = |rest: u8| {
        let mut id = [0_u8; 16];
        for (place, byte) in id.iter_mut().enumerate() {
            let digit = |at: usize| digits.get(at).copied().unwrap_or(rest);
            *byte = digit(2 * place) << 4 | digit(2 * place + 1);
        }
        id
    };
    Some((fill(0), fill(15)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_prefix_covers_exactly_the_ids_that_are_printed_so() {
        let id = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        let text = id.to_string();
        for end in 0..=text.len() {
            let (low, high) = range(&text[..end]).unwrap();
            assert!(low <= *id.as_bytes() && *id.as_bytes() <= high, "{end}");
            assert!(Uuid::from_bytes(low).to_string().starts_with(&text[..end]));
            assert!(Uuid::from_bytes(high).to_string().starts_with(&text[..end]));
        }
    }

    #[test]
    fn what_no_id_is_printed_like_covers_none() {
        for begin in ["0123A", "012345678", "01234567-89ab4", "%", "0123 ", "-"] {
            assert_eq!(range(begin), None, "{begin}");
        }
        assert_eq!(range(&"0".repeat(37)), None);
    }
}
