//! Keys of index entries and values: short ordered texts.

use longhaul_domain::{Priority, ProcessId, Seq, Timestamp, admission::Rank};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// A key of an index entry or of a value. Keys are ordered by their bytes.
///
/// A key consists of parts that are separated by `/`. A part contains neither `/` nor a lone `%`, because both are
/// escaped. A key never contains the character NUL. Numbers have 16 hexadecimal digits, so that their order as text is
/// their order as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(String);

/// A range of keys: from `from` to `to`, without `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range.
    pub from: RowKey,
    /// First key after the range.
    pub to: RowKey,
}

impl RowKey {
    /// Wraps a key that a database returned.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Starts a key with the name of its index or of its kind of value.
    pub(crate) fn of(kind: &str) -> Self {
        let mut text = String::with_capacity(kind.len() + 48);
        text.push_str(kind);
        Self(text)
    }

    /// Adds a name as the next part.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.0.push('/');
        for c in name.chars() {
            match c {
                '/' => self.0.push_str("%2f"),
                '%' => self.0.push_str("%25"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds an optional name as the next part. Names are not empty, so the empty part means that there is none.
    pub(crate) fn optional(self, name: Option<&str>) -> Self {
        self.name(name.unwrap_or_default())
    }

    /// Adds the id of a process as the next part.
    pub(crate) fn id(mut self, id: &ProcessId) -> Self {
        self.push(format_args!("/{id}"));
        self
    }

    /// Adds a number as the next part.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.push(format_args!("/{number:016x}"));
        self
    }

    /// Adds a point in time as the next part.
    pub(crate) fn time(self, at: Timestamp) -> Self {
        self.number(ordered(at.0))
    }

    /// Adds a sequence number as the next part.
    pub(crate) fn seq(self, seq: Seq) -> Self {
        self.number(seq.0)
    }

    /// Adds a position in a queue as the next two parts.
    pub(crate) fn rank(self, rank: Rank) -> Self {
        self.number(!ordered(i64::from(rank.priority.value()))).seq(rank.seq)
    }

    /// Returns the range of all keys that continue this key with a further part.
    pub(crate) fn below(&self) -> KeyRange {
        let with = |end: char| {
            let mut text = String::with_capacity(self.0.len() + 1);
            text.push_str(&self.0);
            text.push(end);
            Self(text)
        };
        // The character `0` directly follows the character `/`.
        KeyRange { from: with('/'), to: with('0') }
    }

    /// Returns the first key that is greater than this key and all keys that continue it with a further part.
    pub(crate) fn next(mut self) -> Self {
        self.0.push('0');
        self
    }

    /// Returns the name at this position. The kind of the key has the position 0.
    pub(crate) fn part(&self, position: usize) -> String {
        let part = self.0.split('/').nth(position).unwrap_or_default();
        if part.contains('%') { part.replace("%2f", "/").replace("%25", "%") } else { part.to_owned() }
    }

    /// Returns the number at this position from the end.
    fn number_from_end(&self, position: usize) -> Option<u64> {
        u64::from_str_radix(self.0.rsplit('/').nth(position)?, 16).ok()
    }

    /// Returns the sequence number in the last part.
    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.number_from_end(0).map(Seq)
    }

    /// Returns the point in time in the part before the last one.
    pub(crate) fn time_before_seq(&self) -> Option<Timestamp> {
        self.number_from_end(1).map(|number| Timestamp(original(number)))
    }

    /// Returns the position in a queue in the last two parts.
    pub(crate) fn last_rank(&self) -> Option<Rank> {
        let priority = Priority::stored(original(!self.number_from_end(1)?)).ok()?;
        Some(Rank { priority, seq: self.last_seq()? })
    }

    fn push(&mut self, part: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.0.write_fmt(part);
    }
}

impl KeyRange {
    /// Returns the part of a map that is in this range. A range whose end is before its start contains no keys.
    pub(crate) fn within<'m, T>(
        &self,
        map: &'m BTreeMap<RowKey, T>,
    ) -> impl DoubleEndedIterator<Item = (&'m RowKey, &'m T)> + use<'m, T> {
        let to = (&self.to).max(&self.from);
        map.range::<RowKey, _>(&self.from..to)
    }

    /// Returns true if the key is in this range.
    #[must_use]
    pub fn contains(&self, key: &RowKey) -> bool {
        self.from <= *key && *key < self.to
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Maps a signed number to an unsigned number of the same order.
const fn ordered(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

const fn original(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_their_numbers() {
        let at = |time| RowKey::of("due").time(Timestamp(time)).seq(Seq(1));
        assert!(at(-5) < at(-4) && at(-1) < at(0) && at(0) < at(7));
        assert_eq!(at(-5).time_before_seq(), Some(Timestamp(-5)));
        let rank = |priority, seq| Rank { priority: Priority::new(priority).unwrap(), seq: Seq(seq) };
        let key = |rank| RowKey::of("waiting").name("gpu").rank(rank);
        assert!(key(rank(5, 9)) < key(rank(0, 1)) && key(rank(0, 1)) < key(rank(0, 2)));
        assert!(key(rank(0, 1)) < key(rank(-100, 0)));
        assert_eq!(key(rank(-7, 3)).last_rank(), Some(rank(-7, 3)));
    }

    #[test]
    fn a_range_contains_exactly_the_keys_below_a_key() {
        let name = |name| RowKey::of("label").name(name);
        assert!(name("a").below().contains(&name("a").seq(Seq(3))));
        assert!(!name("a").below().contains(&name("a/b").seq(Seq(3))));
        assert!(!name("a").below().contains(&name("ab").seq(Seq(3))));
        assert!(!name("a").below().contains(&name("a")));
    }

    #[test]
    fn a_part_is_read_as_it_was_written() {
        for text in ["", "a/b", "%2f", "100%", "/", "ü"] {
            assert_eq!(RowKey::of("served").name(text).name("x").part(1), text);
        }
    }
}
