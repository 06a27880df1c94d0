//! Formats the configuration as TOML, JSON and JSON Schema.

use crate::config::entry_table::{EntryTable, TABLES};
use crate::config::key::{ConfigKey, KEYS, SLOTS, SLOTS_MEANING};
use crate::config::kind::{ConfigValue, RawValue, ValueKind};
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::notifications::is_secret;
use longhaul_wire::store::without_password;
use serde_json::{Map, json};
use std::fmt::Write;

/// Returns all keys with their values, as lines of TOML. With `origins`, a comment on each line contains the origin of
/// the value. Secrets are replaced by a placeholder.
#[must_use]
pub fn show(layers: &Layers, origins: bool) -> String {
    let mut out = String::new();
    for (name, setting) in all(layers) {
        let line = match setting {
            Some(setting) => format!("{name} = {}", RawValue(&unsecret(&name, &setting.value))),
            None => format!("# {name} is determined when the manager starts"),
        };
        // Writing to a string cannot fail.
        let _ = match setting.filter(|_| origins) {
            Some(setting) => writeln!(out, "{line:<40} # {}", setting.origin),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

/// Returns all keys with their values and origins, as JSON. Secrets are replaced by a placeholder.
#[must_use]
pub fn show_json(layers: &Layers) -> serde_json::Value {
    let values: Map<String, serde_json::Value> = all(layers)
        .map(|(name, setting)| {
            let value = match setting {
                Some(setting) => {
                    let value = plain(&unsecret(&name, &setting.value));
                    json!({ "value": value, "origin": setting.origin.to_string() })
                }
                None => json!({ "value": null, "origin": "start" }),
            };
            (name, value)
        })
        .collect();
    json!({ "schema": "longhaul/config/v1", "keys": values })
}

/// Returns the JSON Schema of a configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "longhaul configuration",
        "type": "object",
        "properties": {},
        "additionalProperties": false,
    });
    for key in KEYS {
        let (table, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        let properties = table_of(&mut schema, table).and_then(|table| table.get_mut("properties"));
        if let Some(properties) = properties.and_then(serde_json::Value::as_object_mut) {
            properties.insert(name.to_owned(), schema_of(key));
        }
    }
    if let Some(slots) = table_of(&mut schema, SLOTS) {
        slots.insert("description".to_owned(), SLOTS_MEANING.into());
        slots.insert("additionalProperties".to_owned(), json!({ "type": "integer", "minimum": 0 }));
    }
    for table in TABLES {
        if let Some(entries) = table_of(&mut schema, table.name) {
            entries.insert("description".to_owned(), table.meaning.into());
            entries.insert("patternProperties".to_owned(), json!({ table.pattern: schema_of_entry(table) }));
        }
    }
    schema
}

/// Returns the schema of a table. Creates the schema if it does not exist yet. An empty name stands for the whole
/// configuration. Always returns `Some`, because all tables have properties.
fn table_of<'a>(
    mut schema: &'a mut serde_json::Value,
    table: &str,
) -> Option<&'a mut Map<String, serde_json::Value>> {
    for name in table.split('.').filter(|name| !name.is_empty()) {
        let properties = schema.get_mut("properties")?.as_object_mut()?;
        schema = properties
            .entry(name)
            .or_insert_with(|| json!({ "type": "object", "properties": {}, "additionalProperties": false }));
    }
    schema.as_object_mut()
}

fn all(layers: &Layers) -> impl Iterator<Item = (String, Option<&ConfigEntry>)> {
    let fixed = KEYS.iter().map(|key| (key.name.to_owned(), layers.setting(key)));
    let slots = layers.slots().map(|(pattern, setting)| (format!("{SLOTS}.{pattern:?}"), Some(setting)));
    fixed.chain(slots).chain(layers.entry_values().map(|(name, setting)| (name, Some(setting))))
}

/// Returns a configuration value without its secrets.
pub(super) fn unsecret(name: &str, value: &ConfigValue) -> ConfigValue {
    match value {
        ConfigValue::Text(_) if is_secret(name) => ConfigValue::Text("…".to_owned()),
        ConfigValue::Text(url) if name == "store" => ConfigValue::Text(without_password(url)),
        other @ (ConfigValue::Text(_)
        | ConfigValue::Count(_)
        | ConfigValue::Flag(_)
        | ConfigValue::Span(_)
        | ConfigValue::Never
        | ConfigValue::Size(_)
        | ConfigValue::List(_)
        | ConfigValue::Commands(_)) => other.clone(),
    }
}

fn plain(value: &ConfigValue) -> serde_json::Value {
    match value {
        ConfigValue::Count(count) => json!(count),
        ConfigValue::Flag(flag) => json!(flag),
        ConfigValue::Text(text) => json!(text),
        ConfigValue::List(texts) => json!(texts),
        ConfigValue::Commands(commands) => json!(commands),
        ConfigValue::Span(_) | ConfigValue::Never | ConfigValue::Size(_) => {
            json!(RawValue(value).to_string().trim_matches('"'))
        }
    }
}

fn schema_of_entry(table: &EntryTable) -> serde_json::Value {
    let fields = table.fields.iter().map(|field| {
        let mut schema = schema_of_kind(field.kind);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), json!(field.meaning));
        }
        (field.name.to_owned(), schema)
    });
    let fields: Map<String, serde_json::Value> = fields.collect();
    json!({ "type": "object", "properties": fields, "additionalProperties": false })
}

fn schema_of_kind(kind: ValueKind) -> serde_json::Value {
    match kind {
        ValueKind::Count(limit) => json!({ "type": "integer", "minimum": 0, "maximum": limit }),
        ValueKind::CountOrNever(limit) => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": limit }, { "const": "never" }] })
        }
        ValueKind::Flag => json!({ "type": "boolean" }),
        // No pattern is given, because a duration can be written in too many valid forms.
        ValueKind::Span(_) => json!({ "type": ["string", "number"], "examples": ["500ms", "10m", "1h 30m"] }),
        ValueKind::SpanOrNever(_) => {
            json!({ "type": ["string", "number"], "examples": ["10m", "7d", "never"] })
        }
        ValueKind::Size => json!({
            "type": ["string", "integer"],
            "pattern": "^ *[0-9]+ *([kKmMgGtT]([iI]?[bB])?|[bB])? *$",
            "examples": ["64KiB", "100MiB"],
        }),
        ValueKind::Word(words) => json!({ "enum": words }),
        ValueKind::Text => json!({ "type": "string" }),
        ValueKind::Name => json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
        ValueKind::List => json!({ "type": "array", "items": { "type": "string" } }),
        ValueKind::Commands => json!({
            "type": "array",
            "items": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
        }),
    }
}

fn schema_of(key: &ConfigKey) -> serde_json::Value {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(key.meaning));
    if let Some(default) = key.default {
        schema.insert("x-default".to_owned(), json!(default));
    }
    schema.insert("x-environment".to_owned(), json!(key.variable()));
    if let serde_json::Value::Object(kind) = schema_of_kind(key.kind) {
        schema.extend(kind);
    }
    schema.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key::KeyAuthority;
    use std::fmt::Write;

    #[test]
    fn password_of_a_store_is_not_shown() {
        let shown = unsecret("store", &ConfigValue::Text("redis://me:hunter2@host/1".to_owned()));
        assert_eq!(shown, ConfigValue::Text("redis://…@host/1".to_owned()));
    }

    #[test]
    fn reference_of_the_configuration_lists_every_key() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let text = reference();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(page, &text).unwrap();
        }
        let written = std::fs::read_to_string(page).unwrap();
        assert!(
            text == written,
            "the keys differ from the page: read it, then write it with UPDATE_GOLDEN=1"
        );
    }

    /// Returns the documentation page that lists every configuration key.
    fn reference() -> String {
        let mut page = String::from(
            "# Configuration\n\nEvery key of the configuration. A dot stands for a TOML table: `stop.grace` is `grace` in \
             `[stop]`. Each key can be set\nby a variable: `LONGHAUL_` and the key in capitals, with `_` for the dot \
             (`LONGHAUL_STOP_GRACE`). A key marked with * is\nnot allowed in the configuration files of a project (`longhaul.toml` \
             and `.longhaul/config.toml`): with such a key, the\nwhole configuration is refused. `longhaul config schema` prints the \
             JSON Schema. A test of `crates/app` writes this page\nwith UPDATE_GOLDEN=1.\n\n\
             | key | value | default | meaning |\n| --- | --- | --- | --- |\n",
        );
        let mut keys: Vec<&ConfigKey> = KEYS.iter().collect();
        keys.sort_by_key(|key| key.name);
        for key in keys {
            let star = if key.trust == KeyAuthority::User { " *" } else { "" };
            let default = match key.default {
                Some("") => "empty".to_owned(),
                Some(default) => format!("`{default}`"),
                None => "–".to_owned(),
            };
            let (name, value, meaning) = (key.name, value_of(key.kind), key.meaning);
            writeln!(page, "| `{name}`{star} | {value} | {default} | {meaning} |").unwrap();
        }
        writeln!(page, "| `{SLOTS}.KEY` | number | – | {SLOTS_MEANING} |").unwrap();
        for table in TABLES {
            let star = if table.trust == KeyAuthority::User { " *" } else { "" };
            for field in table.fields {
                let (key, value, meaning) =
                    (table.key(table.placeholder, field.name), value_of(field.kind), field.meaning);
                writeln!(page, "| `{key}`{star} | {value} | – | {meaning} |").unwrap();
            }
        }
        page
    }

    fn value_of(kind: ValueKind) -> String {
        match kind {
            ValueKind::Count(_) => "number".to_owned(),
            ValueKind::CountOrNever(_) => "number or `never`".to_owned(),
            ValueKind::Flag => "`true` or `false`".to_owned(),
            ValueKind::Span(_) => "duration".to_owned(),
            ValueKind::SpanOrNever(_) => "duration or `never`".to_owned(),
            ValueKind::Size => "size".to_owned(),
            ValueKind::Word(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            ValueKind::Text => "text".to_owned(),
            ValueKind::Name => "name".to_owned(),
            ValueKind::List => "list of texts".to_owned(),
            ValueKind::Commands => "command, or list of commands".to_owned(),
        }
    }
    use crate::config::sources::{ConfigSources, Flags};

    #[test]
    fn printed_configuration_can_be_read_again() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        std::fs::write(&path, "limits.level.3.memory = 7\n[keys.limit]\n\"a.b*\" = 2\n").unwrap();
        let sources = ConfigSources { user_file: Some(path.clone()), ..ConfigSources::default() };
        let shown = show(&sources.read().unwrap(), false);
        std::fs::write(&path, &shown).unwrap();
        let sources = ConfigSources { user_file: Some(path), ..ConfigSources::default() };
        assert_eq!(show(&sources.read().unwrap(), false), shown);
    }

    #[test]
    fn origin_is_printed_next_to_the_value() {
        let sources = ConfigSources {
            flags: Flags { max_parallel: Some(3), ..Flags::default() },
            ..ConfigSources::default()
        };
        let shown = show(&sources.read().unwrap(), true);
        let line = shown.lines().find(|line| line.starts_with("limits.max_parallel")).unwrap();
        assert!(
            line.starts_with("limits.max_parallel = 3 ") && line.ends_with("# flag --max-parallel"),
            "{line}"
        );
    }

    #[test]
    fn password_of_a_store_is_never_shown() {
        let value = ConfigValue::Text("redis://user:hunter2@host:6379/0".to_owned());
        assert_eq!(unsecret("store", &value), ConfigValue::Text("redis://…@host:6379/0".to_owned()));
        let value = ConfigValue::Text("redis+unix:///run/s?user=me&pass=hunter2&namespace=ci".to_owned());
        let shown = ConfigValue::Text("redis+unix:///run/s?user=me&pass=…&namespace=ci".to_owned());
        assert_eq!(unsecret("store", &value), shown);
    }

    #[test]
    fn schema_knows_every_key() {
        let schema = schema();
        for key in KEYS {
            let pointer = format!("/properties/{}", key.name.replace('.', "/properties/"));
            assert!(schema.pointer(&pointer).is_some(), "{pointer}");
        }
        assert!(schema.pointer("/properties/keys/properties/limit").is_some());
        assert!(schema.pointer("/properties/limits/properties/level").is_some());
    }
}
