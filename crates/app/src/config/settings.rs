//! The configuration as a manager uses it.

use crate::config::error::ConfigError;
use crate::config::kind::Value;
use crate::config::layers::{Layers, Setting};
use crate::config::origin::Origin;
use longhaul_domain::{Level, NodeId, OutputBound, Policy, SlotKey, TreeLimits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration as a manager uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most roots that run at once on this node; 0 means no limit.
    pub max_parallel: u32,
    /// The bounds of a tree.
    pub tree: TreeLimits,
    /// Slots by key.
    pub policy: Policy,
    /// The key of an agent launch that names no model.
    pub default_key: Option<SlotKey>,
    /// From the stop signal to KILL.
    pub grace: Duration,
    /// How much output is kept of an attempt.
    pub output: OutputBound,
    /// Where processes are kept.
    pub store: StoreChoice,
    /// The name of this node.
    pub node: NodeId,
    /// Stop all processes when the manager is told to end.
    pub stop_processes: bool,
    /// The program that supervises an attempt, if one was chosen.
    pub shim: Option<PathBuf>,
    /// What keeps the descendants of a command together.
    pub containment: Containment,
}

/// Where processes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In memory: they are forgotten with the manager.
    Memory,
    /// In a SQLite file.
    Sqlite(PathBuf),
}

/// What keeps the descendants of a command together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// The strongest that works.
    Auto,
    /// A control group.
    Cgroup,
    /// The supervisor adopts every descendant.
    Subreaper,
    /// The process group.
    Group,
}

impl Settings {
    /// Puts the values of all layers in their place, for a manager whose state is in `state_dir`.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for a store that is not known.
    pub fn of(layers: &Layers, state_dir: &Path) -> Result<Self, ConfigError> {
        Ok(Self {
            max_parallel: small(layers, "limits.max_parallel"),
            tree: TreeLimits {
                deepest: Level(u8::try_from(count(layers, "limits.max_levels")).unwrap_or(u8::MAX)),
                per_level: small(layers, "limits.max_per_level"),
            },
            policy: Policy {
                slots: layers
                    .slots()
                    .map(|(pattern, setting)| (pattern.to_owned(), clamped(number(setting))))
                    .collect(),
                ..Policy::default()
            },
            default_key: text(layers, "keys.default").and_then(|key| SlotKey::new(key).ok()),
            grace: span(layers, "stop.grace"),
            output: OutputBound { head: count(layers, "output.head"), tail: count(layers, "output.tail") },
            store: store(layers, state_dir)?,
            node: node(layers),
            stop_processes: flag(layers, "serve.stop_processes"),
            shim: text(layers, "shim.path").filter(|path| !path.is_empty()).map(PathBuf::from),
            containment: match text(layers, "shim.containment") {
                Some("cgroup") => Containment::Cgroup,
                Some("subreaper") => Containment::Subreaper,
                Some("group") => Containment::Group,
                Some(_) | None => Containment::Auto,
            },
        })
    }
}

impl std::fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

fn store(layers: &Layers, state_dir: &Path) -> Result<StoreChoice, ConfigError> {
    let Some(setting) = layers.setting("store") else {
        return Ok(StoreChoice::Sqlite(state_dir.join(DATABASE)));
    };
    let Value::Text(url) = &setting.value else {
        return Ok(StoreChoice::Sqlite(state_dir.join(DATABASE)));
    };
    match url.split_once(':') {
        Some(("sqlite", "")) => Ok(StoreChoice::Sqlite(state_dir.join(DATABASE))),
        Some(("sqlite", path)) => {
            let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
            Ok(StoreChoice::Sqlite(state_dir.join(path)))
        }
        Some(("memory", "")) | None if url.starts_with("memory") => Ok(StoreChoice::Memory),
        Some((scheme, _)) => Err(bad_store(scheme, setting.origin.clone())),
        None => Err(bad_store(url, setting.origin.clone())),
    }
}

/// Names the scheme alone: the rest may hold a password.
fn bad_store(scheme: &str, origin: Origin) -> ConfigError {
    ConfigError::BadValue {
        key: "store".to_owned(),
        text: format!("{scheme:?}"),
        origin: Box::new(origin),
        why: "this program has no such store".to_owned(),
        help: "give sqlite:, sqlite:PATH or memory".to_owned(),
    }
}

/// The name of the database in the state directory.
const DATABASE: &str = "longhaul.db";

fn node(layers: &Layers) -> NodeId {
    let named = text(layers, "node.id").and_then(|name| NodeId::new(name).ok());
    named.unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        #[expect(clippy::expect_used, reason = "it is a name by every rule for names")]
        NodeId::new(&host).unwrap_or_else(|_| NodeId::new("localhost").expect("a plain word"))
    })
}

fn text<'a>(layers: &'a Layers, key: &str) -> Option<&'a str> {
    match &layers.setting(key)?.value {
        Value::Text(text) => Some(text),
        Value::Count(_) | Value::Flag(_) | Value::Span(_) | Value::Size(_) => None,
    }
}

fn flag(layers: &Layers, key: &str) -> bool {
    layers.setting(key).is_some_and(|setting| setting.value == Value::Flag(true))
}

fn span(layers: &Layers, key: &str) -> Duration {
    match layers.setting(key).map(|setting| &setting.value) {
        Some(Value::Span(Some(span))) => *span,
        Some(Value::Span(None) | Value::Count(_) | Value::Flag(_) | Value::Size(_) | Value::Text(_))
        | None => Duration::ZERO,
    }
}

fn count(layers: &Layers, key: &str) -> u64 {
    layers.setting(key).map_or(0, number)
}

fn small(layers: &Layers, key: &str) -> u32 {
    clamped(count(layers, key))
}

fn number(setting: &Setting) -> u64 {
    match setting.value {
        Value::Count(number) | Value::Size(number) => number,
        Value::Flag(_) | Value::Span(_) | Value::Text(_) => 0,
    }
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::{Flags, Sources};
    use longhaul_domain::StopPolicy;

    #[test]
    fn defaults_are_those_that_users_expect() {
        let settings = of(Flags::default()).unwrap();
        assert_eq!(settings.max_parallel, 10);
        assert_eq!(settings.tree, TreeLimits::default());
        assert_eq!(settings.policy, Policy::default());
        assert_eq!(settings.default_key.unwrap().as_str(), "sonnet");
        assert_eq!(settings.grace, StopPolicy::DEFAULT_GRACE);
        assert_eq!(settings.output, OutputBound::default());
        assert_eq!(settings.store, StoreChoice::Sqlite("/state/longhaul.db".into()));
        assert!(!settings.stop_processes);
    }

    #[test]
    fn store_is_chosen_by_its_scheme() {
        let store = |url: &str| {
            let flags = Flags { store: Some(url.to_owned()), ..Flags::default() };
            of(flags).map(|settings| settings.store)
        };
        assert_eq!(store("memory").unwrap(), StoreChoice::Memory);
        assert_eq!(store("memory:").unwrap(), StoreChoice::Memory);
        assert_eq!(store("sqlite:/x/y.db").unwrap(), StoreChoice::Sqlite("/x/y.db".into()));
        assert_eq!(store("sqlite:///x/y.db").unwrap(), StoreChoice::Sqlite("/x/y.db".into()));
        assert_eq!(store("sqlite:y.db").unwrap(), StoreChoice::Sqlite("/state/y.db".into()));
    }

    #[test]
    fn complaint_about_a_store_keeps_its_password_secret() {
        let flags = Flags { store: Some("redis://:hunter2@host/".to_owned()), ..Flags::default() };
        let error = of(flags).unwrap_err();
        let said = format!("{error} {:?} {:?}", error.why(), error.help());
        assert!(said.contains("redis") && !said.contains("hunter2"), "{said}");
    }

    fn of(flags: Flags) -> Result<Settings, ConfigError> {
        let sources = Sources { flags, ..Sources::default() };
        Settings::of(&sources.read().unwrap(), Path::new("/state"))
    }
}
