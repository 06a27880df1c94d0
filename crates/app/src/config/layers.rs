//! Merges the layers of the configuration.

use crate::config::entry_table::{EntryTable, EntryValues, TABLES};
use crate::config::error::ConfigError;
use crate::config::file::{self, FileValue};
use crate::config::key::{self, ConfigKey, KEYS, KeyAuthority, LEVELS, SLOTS, SLOTS_KIND};
use crate::config::kind::{ConfigValue, RawConfigValue, ValueKind};
use crate::config::nearest::nearest;
use crate::config::origin::ValueOrigin;
use crate::config::runners::{self, RUNNERS};
use crate::config::sources::ConfigSources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The merged configuration: all values that are set, each with its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    settings: BTreeMap<&'static str, ConfigEntry>,
    slots: BTreeMap<String, ConfigEntry>,
    /// The values of all tables with entries, by the names of the table, the entry and the field.
    entries: BTreeMap<(&'static str, String, &'static str), ConfigEntry>,
}

/// A configuration value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The value, checked against the kind of its key.
    pub value: ConfigValue,
    /// Source that set the value.
    pub origin: ValueOrigin,
}

impl ConfigEntry {
    /// Returns the value if it is a number or a size. Returns 0 for any other value.
    pub(super) fn number(&self) -> u64 {
        match self.value {
            ConfigValue::Count(number) | ConfigValue::Size(number) => number,
            ConfigValue::Flag(_)
            | ConfigValue::Span(_)
            | ConfigValue::Never
            | ConfigValue::Text(_)
            | ConfigValue::List(_)
            | ConfigValue::Commands(_) => 0,
        }
    }

    /// Returns the value if it is a text. Returns `None` for any other value.
    pub(super) fn text(&self) -> Option<&str> {
        let ConfigValue::Text(text) = &self.value else { return None };
        Some(text)
    }

    /// Returns the value if it is a duration. Returns `None` for any other value.
    pub(super) fn span(&self) -> Option<Duration> {
        let ConfigValue::Span(span) = self.value else { return None };
        Some(span)
    }

    /// Returns the items if the value is a list. Returns no items for any other value.
    pub(super) fn list(&self) -> &[String] {
        let ConfigValue::List(texts) = &self.value else { return &[] };
        texts
    }

    /// Returns the commands if the value is a list of commands. Returns no commands for any other value.
    pub(super) fn commands(&self) -> &[Vec<String>] {
        let ConfigValue::Commands(commands) = &self.value else { return &[] };
        commands
    }

    /// Returns the error for an invalid text in the value of a key.
    pub(super) fn invalid(&self, key: &str, text: &str, why: String, help: &str) -> ConfigError {
        ConfigError::BadValue {
            key: key.to_owned(),
            text: format!("{text:?}"),
            origin: Box::new(self.origin.clone()),
            why,
            help: help.to_owned(),
        }
    }
}

impl Layers {
    /// Returns the value of a key. Returns `None` if the key is not set and has no default.
    #[must_use]
    pub fn setting(&self, key: &'static ConfigKey) -> Option<&ConfigEntry> {
        self.settings.get(key.name)
    }

    /// Returns the number of slots for each pattern of concurrency keys.
    pub fn slots(&self) -> impl Iterator<Item = (&str, &ConfigEntry)> {
        self.slots.iter().map(|(pattern, setting)| (pattern.as_str(), setting))
    }

    /// Returns all values in tables with entries, with the full name of their key.
    pub(super) fn entry_values(&self) -> impl Iterator<Item = (String, &ConfigEntry)> {
        self.entries.iter().map(|((table, name, field), entry)| (format!("{table}.{name}.{field}"), entry))
    }

    /// Returns the entries of a table.
    pub(super) fn entries(&self, table: &'static EntryTable) -> Vec<EntryValues<'_>> {
        let values = self.entries.iter().filter(|((of, ..), _)| *of == table.name);
        EntryValues::grouped(table, values.map(|((_, name, field), entry)| (name.as_str(), *field, entry)))
    }

    pub(super) fn read(sources: &ConfigSources) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        layers.take_defaults()?;
        if let Some(path) = &sources.user_file {
            layers.take_file(path, KeyAuthority::User)?;
        }
        for path in &sources.project_files {
            layers.take_file(path, KeyAuthority::Anyone)?;
        }
        layers.take_environment(&sources.environment)?;
        layers.take_flags(sources)?;
        Ok(layers)
    }

    fn take_defaults(&mut self) -> Result<(), ConfigError> {
        for key in KEYS {
            if let Some(default) = key.default {
                self.set(key, &RawConfigValue::Text(default.to_owned()), ValueOrigin::Default)?;
            }
        }
        for entry in runners::builtin()? {
            if let Some((name, field)) = RUNNERS.split(&entry.key) {
                self.set_entry(&RUNNERS, name, field, &entry.raw, ValueOrigin::Default)?;
            }
        }
        Ok(())
    }

    fn take_file(&mut self, path: &Path, trust: KeyAuthority) -> Result<(), ConfigError> {
        for entry in file::entries(path)?.unwrap_or_default() {
            self.take_entry(path, trust, entry)?;
        }
        Ok(())
    }

    fn take_entry(&mut self, path: &Path, trust: KeyAuthority, entry: FileValue) -> Result<(), ConfigError> {
        let origin = ValueOrigin::File { path: path.to_owned(), line: entry.line };
        if let Some(pattern) = entry.pattern {
            return self.set_slots(pattern, &entry.raw, origin);
        }
        let is_allowed = |required| trust == KeyAuthority::User || required == KeyAuthority::Anyone;
        let refused = |key| ConfigError::NotForProjects { key, path: path.to_owned(), line: entry.line };
        for table in TABLES {
            if let Some((name, field)) = table.split(&entry.key) {
                if !is_allowed(table.trust) {
                    return Err(refused(entry.key));
                }
                return self.set_entry(table, name, field, &entry.raw, origin);
            }
        }
        let Some(key) = key::find(&entry.key) else {
            let names = KEYS.iter().map(|key| key.name);
            return Err(ConfigError::UnknownKey {
                nearest: nearest(&entry.key, names).map(str::to_owned),
                key: entry.key,
                origin,
            });
        };
        if !is_allowed(key.trust) {
            return Err(refused(entry.key));
        }
        self.set(key, &entry.raw, origin)
    }

    fn take_environment(&mut self, environment: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for key in KEYS {
            let name = key.variable();
            if let Some(text) = environment.get(&name).filter(|text| !text.is_empty()) {
                self.set(key, &RawConfigValue::Text(text.clone()), ValueOrigin::Environment { name })?;
            }
        }
        for (variable, text) in environment.iter().filter(|(_, text)| !text.is_empty()) {
            if let Some((level, name)) = below_levels_of(variable) {
                let origin = ValueOrigin::Environment { name: variable.clone() };
                self.set_entry(&LEVELS, &level, &name, &RawConfigValue::Text(text.clone()), origin)?;
            }
        }
        let name = SLOTS_VARIABLE;
        for pair in environment.get(name).into_iter().flat_map(|list| list.split(',')) {
            let origin = ValueOrigin::Environment { name: name.to_owned() };
            let Some((pattern, slots)) = pair.rsplit_once('=') else {
                return Err(ConfigError::BadValue {
                    key: SLOTS.to_owned(),
                    text: format!("{pair:?}"),
                    origin: Box::new(origin),
                    why: "the value is not a pair of a key pattern and a number".to_owned(),
                    help: "give pairs such as opus=2,sonnet*=5".to_owned(),
                });
            };
            self.set_slots(
                pattern.trim().to_owned(),
                &RawConfigValue::Text(slots.trim().to_owned()),
                origin,
            )?;
        }
        Ok(())
    }

    fn take_flags(&mut self, sources: &ConfigSources) -> Result<(), ConfigError> {
        let flags = &sources.flags;
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let yes = |given: bool| given.then(|| "true".to_owned());
        let given = [
            ("store", "--store", flags.store.clone()),
            ("node.id", "--node-id", flags.node_id.clone()),
            ("limits.max_parallel", "--max-parallel", flags.max_parallel.map(|count| count.to_string())),
            ("serve.stop_processes", "--stop-processes", yes(flags.stop_processes)),
            ("listen.addresses", "--listen", Some(flags.listen.join(",")).filter(|list| !list.is_empty())),
            ("listen.allow_remote", "--allow-remote", yes(flags.allow_remote)),
            ("listen.insecure_behind_proxy", "--insecure-behind-proxy", yes(flags.insecure_behind_proxy)),
            ("listen.tls_cert", "--tls-cert", path(&flags.tls_cert)),
            ("listen.tls_key", "--tls-key", path(&flags.tls_key)),
            (key::STATE, "--state-dir", path(&flags.state_dir)),
        ];
        for (key, name, text) in given {
            if let (Some(key), Some(text)) = (key::find(key), text) {
                self.set(key, &RawConfigValue::Text(text), ValueOrigin::Flag { name })?;
            }
        }
        Ok(())
    }

    fn set(
        &mut self,
        key: &'static ConfigKey,
        raw: &RawConfigValue,
        origin: ValueOrigin,
    ) -> Result<(), ConfigError> {
        let setting = read(key.name, key.kind, raw, origin)?;
        self.settings.insert(key.name, setting);
        Ok(())
    }

    fn set_entry(
        &mut self,
        table: &'static EntryTable,
        name: &str,
        field: &str,
        raw: &RawConfigValue,
        origin: ValueOrigin,
    ) -> Result<(), ConfigError> {
        let known = table.fields.iter().find(|known| known.name == field);
        let (Some(entry), Some(known)) = ((table.canonical)(name), known) else {
            return Err(table.unknown(name, field, origin));
        };
        let value = read(&table.key(&entry, known.name), known.kind, raw, origin)?;
        self.entries.insert((table.name, entry, known.name), value);
        Ok(())
    }

    fn set_slots(
        &mut self,
        pattern: String,
        raw: &RawConfigValue,
        origin: ValueOrigin,
    ) -> Result<(), ConfigError> {
        let name = format!("{SLOTS}.{pattern:?}");
        let begin = pattern.strip_suffix('*').unwrap_or(&pattern);
        if begin.contains('*') || longhaul_domain::SlotKey::new(&pattern).is_err() {
            return Err(ConfigError::BadValue {
                text: format!("{pattern:?}"),
                key: SLOTS.to_owned(),
                origin: Box::new(origin),
                why: "the pattern is not a valid concurrency key".to_owned(),
                help: "give a concurrency key, or the start of a key followed by an asterisk".to_owned(),
            });
        }
        let setting = read(&name, SLOTS_KIND, raw, origin)?;
        self.slots.insert(pattern, setting);
        Ok(())
    }
}

/// Environment variable that sets the table [`SLOTS`] with comma-separated pairs, such as `opus=2,sonnet*=5`.
pub(super) const SLOTS_VARIABLE: &str = "LONGHAUL_KEYS_LIMIT";

/// Extracts the level and the name of the limit from the name of an environment variable such as
/// `LONGHAUL_LIMITS_LEVEL_2_MEMORY`. Returns `None` for other variables.
pub(super) fn below_levels_of(variable: &str) -> Option<(String, String)> {
    let (level, name) = variable.strip_prefix("LONGHAUL_LIMITS_LEVEL_")?.split_once('_')?;
    Some((level.to_owned(), name.to_ascii_lowercase()))
}

fn read(
    name: &str,
    kind: ValueKind,
    raw: &RawConfigValue,
    origin: ValueOrigin,
) -> Result<ConfigEntry, ConfigError> {
    let outside = match &origin {
        ValueOrigin::File { .. } => false,
        ValueOrigin::Default | ValueOrigin::Environment { .. } | ValueOrigin::Flag { .. } => true,
    };
    match kind.read(raw, outside) {
        Ok(value) => Ok(ConfigEntry { value, origin }),
        Err(misfit) => Err(ConfigError::BadValue {
            key: name.to_owned(),
            text: raw.to_string(),
            origin: Box::new(origin),
            why: misfit.why,
            help: misfit.help,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::Flags;

    const KEY: &str = "limits.max_parallel";

    #[test]
    fn each_layer_covers_the_ones_below_it() {
        let world = World::new();
        let mut sources = world.sources("", "");
        assert_eq!(parallel(&sources), (10, ValueOrigin::Default));

        sources = world.sources("limits.max_parallel = 1\n", "");
        let user = ValueOrigin::File { path: world.user(), line: 1 };
        assert_eq!(parallel(&sources), (1, user));

        sources = world.sources("limits.max_parallel = 1\n", "\n[limits]\nmax_parallel = 2\n");
        let project = ValueOrigin::File { path: world.project(), line: 3 };
        assert_eq!(parallel(&sources), (2, project));

        let name = "LONGHAUL_LIMITS_MAX_PARALLEL".to_owned();
        sources.environment.insert(name.clone(), "3".to_owned());
        assert_eq!(parallel(&sources), (3, ValueOrigin::Environment { name }));

        sources.flags.max_parallel = Some(4);
        assert_eq!(parallel(&sources), (4, ValueOrigin::Flag { name: "--max-parallel" }));
    }

    #[test]
    fn project_cannot_set_state_directory_store_and_programs() {
        for line in [
            "store = \"memory\"",
            "state = \"/tmp\"",
            "node.id = \"x\"",
            "shim.path = \"/tmp/evil\"",
            "shim.containment = \"group\"",
            "serve.stop_processes = true",
            "listen.addresses = [\"0.0.0.0:80\"]",
            "listen.hosts = [\"evil.example\"]",
            "listen.allow_remote = true",
        ] {
            let world = World::new();
            let refused = world.sources("", line).read();
            let Err(ConfigError::NotForProjects { key, path, line: 1 }) = refused else {
                panic!("{line}: {refused:?}");
            };
            assert!(line.starts_with(&key));
            assert_eq!(path, world.project());
            assert!(world.sources(line, "").read().is_ok(), "{line}");
        }
    }

    #[test]
    fn error_of_an_unknown_key_names_the_nearest_key_and_the_line() {
        let world = World::new();
        let refused = world.sources("[limits]\nmax_paralel = 3\n", "").read();
        let Err(ConfigError::UnknownKey { key, origin, nearest }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(key, "limits.max_paralel");
        assert_eq!(nearest.as_deref(), Some(KEY));
        assert_eq!(origin, ValueOrigin::File { path: world.user(), line: 2 });
    }

    #[test]
    fn unknown_table_is_refused_too() {
        let world = World::new();
        assert!(world.sources("[colours]\nerror = \"red\"\n", "").read().is_err());
        assert!(world.sources("keys.limit = 3\n", "").read().is_err());
    }

    #[test]
    fn error_of_an_invalid_value_names_valid_values() {
        let world = World::new();
        let error = world.sources("stop.grace = \"soon\"\n", "").read().unwrap_err();
        assert_eq!(error.to_string(), "\"soon\" is not a valid value of the configuration key stop.grace");
        assert!(error.why().unwrap().contains("config.toml:1"));
        assert!(error.help().unwrap().contains("\"5s\""));
    }

    #[test]
    fn patterns_of_all_layers_stand_side_by_side() {
        let world = World::new();
        let mut sources = world.sources("[keys.limit]\nopus = 1\n\"gpt-4.1*\" = 2\n", "");
        sources.environment.insert("LONGHAUL_KEYS_LIMIT".into(), "opus=7, *=3".into());
        let layers = sources.read().unwrap();
        let seen: Vec<_> = layers.slots().map(|(pattern, setting)| (pattern, &setting.value)).collect();
        let expected = [("*", 3), ("gpt-4.1*", 2), ("opus", 7)];
        assert_eq!(
            seen,
            expected.map(|(pattern, slots)| (pattern, &*Box::leak(Box::new(ConfigValue::Count(slots)))))
        );
    }

    #[test]
    fn limits_of_a_level_come_from_files_and_the_environment() {
        let world = World::new();
        let mut sources = world
            .sources("[limits.level.2]\nmemory = \"1GiB\"\ncpu = 60\n[limits.level]\n0.processes = 9\n", "");
        sources.environment.insert("LONGHAUL_LIMITS_LEVEL_2_OPEN_FILES".into(), "64".into());
        let layers = sources.read().unwrap();
        let seen: Vec<_> = layers
            .entry_values()
            .map(|(key, setting)| (key, setting.value.clone()))
            .filter(|(key, _)| LEVELS.split(key).is_some())
            .collect();
        let expected = [
            ("0.processes", ConfigValue::Count(9)),
            ("2.cpu", ConfigValue::Span(Duration::from_secs(60))),
            ("2.memory", ConfigValue::Size(1 << 30)),
            ("2.open_files", ConfigValue::Count(64)),
        ]
        .map(|(key, value)| (format!("limits.level.{key}"), value));
        assert_eq!(seen, expected);
    }

    #[test]
    fn unknown_limit_of_a_level_names_the_nearest_one() {
        let world = World::new();
        let refused = world.sources("limits.level.2.memry = 1\n", "").read();
        let Err(ConfigError::UnknownKey { key, nearest, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(
            (key.as_str(), nearest.as_deref()),
            ("limits.level.2.memry", Some("limits.level.2.memory"))
        );
        assert!(world.sources("limits.level.65.memory = 1\n", "").read().is_err());
        assert!(world.sources("limits.level.x.memory = 1\n", "").read().is_err());
        assert!(world.sources("limits.level = 1\n", "").read().is_err());
    }

    #[test]
    fn pattern_has_its_asterisk_at_the_end() {
        let world = World::new();
        assert!(world.sources("keys.limit.\"a*b\" = 1\n", "").read().is_err());
        assert!(world.sources("keys.limit.\"\" = 1\n", "").read().is_err());
        assert!(world.sources("keys.limit.\"*\" = 1\n", "").read().is_ok());
    }

    #[test]
    fn unreadable_file_is_an_error_and_a_missing_one_is_not() {
        let world = World::new();
        let mut sources = world.sources("", "");
        sources.user_file = Some(world.0.path().join("missing/config.toml"));
        assert!(sources.read().is_ok());
        sources.user_file = Some(world.0.path().to_owned());
        assert!(matches!(sources.read(), Err(ConfigError::Unreadable { .. })));
    }

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn user(&self) -> PathBuf {
            self.0.path().join("config.toml")
        }

        fn project(&self) -> PathBuf {
            self.0.path().join("longhaul.toml")
        }

        fn sources(&self, user: &str, project: &str) -> ConfigSources {
            std::fs::write(self.user(), user).unwrap();
            std::fs::write(self.project(), project).unwrap();
            ConfigSources {
                user_file: Some(self.user()),
                project_files: vec![self.project()],
                environment: BTreeMap::new(),
                flags: Flags::default(),
            }
        }
    }

    fn parallel(sources: &ConfigSources) -> (u64, ValueOrigin) {
        let layers = sources.read().unwrap();
        let setting = layers.setting(key::find(KEY).unwrap()).unwrap().clone();
        let ConfigValue::Count(count) = setting.value else {
            panic!("{setting:?}");
        };
        (count, setting.origin)
    }
}
