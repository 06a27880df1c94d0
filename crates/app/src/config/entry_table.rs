//! Configuration tables that contain one table for each of their entries, such as `[webhook.NAME]`.

use crate::config::error::ConfigError;
use crate::config::key::{KeyAuthority, LEVELS};
use crate::config::kind::{RawValue, ValueKind};
use crate::config::layers::ConfigEntry;
use crate::config::nearest::nearest;
use crate::config::notifications::WEBHOOKS;
use crate::config::origin::ValueOrigin;
use crate::config::runners::RUNNERS;
use crate::config::show::unsecret;
use std::collections::BTreeMap;
use std::time::Duration;

/// All tables with entries.
pub(super) const TABLES: [&EntryTable; 3] = [&LEVELS, &WEBHOOKS, &RUNNERS];
/// Names of the entries of a table, unless the names are numbers, as a regular expression.
pub(super) const NAME_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// A table that contains one table for each of its entries.
#[derive(Debug)]
pub(super) struct EntryTable {
    /// Full name of the table, with dots between table names.
    pub(super) name: &'static str,
    /// Description of the table for the user.
    pub(super) meaning: &'static str,
    /// Placeholder for the name of an entry in the documentation, such as `NAME`.
    pub(super) placeholder: &'static str,
    /// Names of the entries, as a regular expression.
    pub(super) pattern: &'static str,
    /// Returns the name of an entry in its usual form. Returns `None` for an invalid name.
    pub(super) canonical: fn(&str) -> Option<String>,
    /// Sources that may set the keys of the table.
    pub(super) trust: KeyAuthority,
    /// All keys that an entry may contain.
    pub(super) fields: &'static [EntryField],
}

/// A key in the entries of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryField {
    /// Name of the key in the table of the entry.
    pub(super) name: &'static str,
    /// Kind of the values that the key accepts.
    pub(super) kind: ValueKind,
    /// Description of the key for the user.
    pub(super) meaning: &'static str,
}

/// Values of one entry, for example of one webhook. An entry has at least one value.
#[derive(Debug)]
pub(super) struct EntryValues<'a> {
    table: &'static EntryTable,
    name: &'a str,
    values: BTreeMap<&'static str, &'a ConfigEntry>,
}

impl EntryTable {
    /// Splits the key of a value in this table into the name of the entry and the name of the field. Returns `None` for
    /// other keys.
    pub(super) fn split<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        key.strip_prefix(self.name)?.strip_prefix('.')?.rsplit_once('.')
    }

    /// Returns the full name of a key.
    pub(super) fn key(&self, entry: &str, field: &str) -> String {
        format!("{}.{entry}.{field}", self.name)
    }

    /// Returns the error for a key that this table does not have.
    pub(super) fn unknown(&self, entry: &str, field: &str, origin: ValueOrigin) -> ConfigError {
        let known = (self.canonical)(entry).unwrap_or_else(|| self.placeholder.to_owned());
        let keys: Vec<String> = self.fields.iter().map(|field| self.key(&known, field.name)).collect();
        let nearest = nearest(&self.key(&known, field), keys.iter().map(String::as_str));
        ConfigError::UnknownKey { key: self.key(entry, field), origin, nearest: nearest.map(str::to_owned) }
    }
}

impl EntryField {
    pub(super) const fn new(name: &'static str, kind: ValueKind, meaning: &'static str) -> Self {
        Self { name, kind, meaning }
    }
}

impl<'a> EntryValues<'a> {
    /// Groups the values of a configuration table by the entry that they belong to.
    pub(super) fn grouped(
        table: &'static EntryTable,
        values: impl Iterator<Item = (&'a str, &'static str, &'a ConfigEntry)>,
    ) -> Vec<Self> {
        let mut entries: BTreeMap<&str, BTreeMap<&'static str, &ConfigEntry>> = BTreeMap::new();
        for (name, field, value) in values {
            entries.entry(name).or_default().insert(field, value);
        }
        entries.into_iter().map(|(name, values)| Self { table, name, values }).collect()
    }

    /// Returns the name of the entry.
    pub(super) const fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the full name of a key.
    pub(super) fn key(&self, field: &str) -> String {
        self.table.key(self.name, field)
    }

    /// Returns a value with its origin. Returns `None` if the entry does not set the key.
    pub(super) fn get(&self, field: &str) -> Option<&'a ConfigEntry> {
        self.values.get(field).copied()
    }

    /// Returns the text of a field. Returns `None` if the entry does not set the field.
    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        self.get(field)?.text()
    }

    /// Returns the items of a list. Returns no items if the entry does not set the key.
    pub(super) fn list(&self, field: &str) -> &'a [String] {
        self.get(field).map_or(&[], ConfigEntry::list)
    }

    /// Returns a duration. Returns `None` if the value is `never` or if the entry does not set the key.
    pub(super) fn span(&self, field: &str) -> Option<Duration> {
        self.get(field)?.span()
    }

    /// Removes all values for which `is_kept` returns false.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str, &ConfigEntry) -> bool) {
        self.values.retain(|field, value| is_kept(field, value));
    }

    /// Returns the error for an invalid or missing value. The error for a missing value shows the origin of another
    /// value of the same entry.
    pub(super) fn invalid(&self, field: &str, why: String, help: String) -> ConfigError {
        let key = self.key(field);
        let origin = self.get(field).or_else(|| self.values.values().next().copied());
        ConfigError::BadValue {
            text: self.get(field).map_or_else(
                || "\"\"".to_owned(),
                |entry| RawValue(&unsecret(&key, &entry.value)).to_string(),
            ),
            key,
            origin: Box::new(origin.map_or(ValueOrigin::Default, |entry| entry.origin.clone())),
            why,
            help,
        }
    }
}
