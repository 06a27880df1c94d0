//! Every key, its default, and who may set it.

use crate::config::kind::ValueKind;
use std::time::Duration;

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Its name, with dots between the tables.
    pub name: &'static str,
    /// What it holds.
    pub kind: ValueKind,
    /// What it holds unless someone says otherwise, as in the environment; none if that is found out at the start.
    pub default: Option<&'static str>,
    /// Who may set it.
    pub trust: KeyAuthority,
    /// What it means.
    pub meaning: &'static str,
}

/// Who may set a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAuthority {
    /// Everyone, the files of a project included.
    Anyone,
    /// The user: their own file, the environment, flags.
    User,
}

impl ConfigKey {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        // The state directory is found before anything else is read, under a name of its own.
        if self.name == STATE {
            return "LONGHAUL_STATE_DIR".to_owned();
        }
        format!("LONGHAUL_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

/// The key of the state directory.
pub(crate) const STATE: &str = "state";
/// The table whose keys are patterns of concurrency keys.
pub(crate) const SLOTS: &str = "keys.limit";
/// What each key of [`SLOTS`] holds.
pub(crate) const SLOTS_KIND: ValueKind = ValueKind::Count(MAX_COUNT);
/// What each key of [`SLOTS`] means.
pub(crate) const SLOTS_MEANING: &str = "slots of a concurrency key or of all that begin so (`opus*`); 0 means no limit, the longest pattern wins";

/// The table of what a command may use up, by the level that it is on.
pub(crate) const LEVELS: &str = "limits.level";
/// The deepest level that [`LEVELS`] may name.
pub(crate) const MAX_LEVEL: u8 = 64;
/// What stands in [`LEVELS`] for each level.
pub(crate) const LEVEL_FIELDS: &[LevelField] = &[
    LevelField { name: "cpu", kind: ValueKind::Span(SECOND), meaning: "processor time of an attempt" },
    LevelField { name: "file_size", kind: ValueKind::Size, meaning: "the size of one written file" },
    LevelField { name: "memory", kind: ValueKind::Size, meaning: "memory of an attempt" },
    LevelField { name: "open_files", kind: ValueKind::Count(MAX_COUNT), meaning: "open files" },
    LevelField { name: "processes", kind: ValueKind::Count(MAX_COUNT), meaning: "processes at once" },
];

/// What a command on some level may use up of one thing, where its launch does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LevelField {
    /// Its name below the level.
    pub(crate) name: &'static str,
    /// What it holds; 0 means no limit.
    pub(crate) kind: ValueKind,
    /// What it means.
    pub(crate) meaning: &'static str,
}

const MAX_COUNT: u64 = u32::MAX as u64;
const SECOND: Duration = Duration::from_secs(1);
const NO_TIME: Duration = Duration::ZERO;

/// Every key but those of `keys.limit` and `limits.level`, by name.
pub const KEYS: &[ConfigKey] = &[
    key(
        "monitor.idle_after",
        ValueKind::SpanOrNever(SECOND),
        "never",
        "after so long without output or report a process counts as idle",
    ),
    key(
        "monitor.stall_after",
        ValueKind::SpanOrNever(SECOND),
        "never",
        "after so long without output, report or use of the processor it counts as stalled",
    ),
    key(
        "children.on_end",
        ValueKind::Word(&["keep", "cancel", "wait"]),
        "keep",
        "what becomes of the live descendants of a process that ends by itself",
    ),
    own(
        "cluster_key",
        ValueKind::Text,
        None,
        "the file of the key that all nodes of a store of many machines share; cluster.key beside the user's file by default",
    ),
    own("hooks.directory", ValueKind::Text, Some(""), "where hooks are run; the home directory by default"),
    own(
        "hooks.environment",
        ValueKind::List,
        Some(""),
        "variables of hooks beside PATH and HOME: NAME=VALUE, or a NAME that the manager hands on",
    ),
    own("hooks.timeout", ValueKind::Span(SECOND), Some("30s"), "how long a hook may take"),
    key(
        "keys.default",
        ValueKind::Name,
        "sonnet",
        "the concurrency key of an agent launch that names no model",
    ),
    key("limits.max_levels", ValueKind::Count(64), "10", "the deepest level under a root"),
    key(
        "limits.max_parallel",
        ValueKind::Count(MAX_COUNT),
        "10",
        "roots that run at once on a node; 0 means no limit",
    ),
    key(
        "limits.max_per_level",
        ValueKind::Count(MAX_COUNT),
        "20",
        "live processes on one level of a tree; 0 means no limit",
    ),
    own(
        "listen.addresses",
        ValueKind::List,
        Some(""),
        "where the manager listens on the network besides its socket: 127.0.0.1:PORT; port 0 takes a free one",
    ),
    own(
        "listen.allow_remote",
        ValueKind::Flag,
        Some("false"),
        "let other machines connect; wants TLS, or listen.insecure_behind_proxy",
    ),
    own(
        "listen.hosts",
        ValueKind::List,
        Some(""),
        "names besides its addresses by which the manager may be asked: host or host:port, as clients send it",
    ),
    own(
        "listen.insecure_behind_proxy",
        ValueKind::Flag,
        Some("false"),
        "listen for other machines without TLS, because a proxy in front of the manager has it",
    ),
    own(
        "listen.origins",
        ValueKind::List,
        Some(""),
        "web pages that may ask the manager: https://host or http://host:port",
    ),
    own(
        "listen.tls_cert",
        ValueKind::Text,
        Some(""),
        "the file of the certificate and its chain, in PEM; with it all of listen speaks TLS",
    ),
    own(
        "listen.tls_key",
        ValueKind::Text,
        Some(""),
        "the file of the key of listen.tls_cert, in PEM; nobody else may read it",
    ),
    own(
        "node.address",
        ValueKind::Text,
        Some(""),
        "where other nodes of the store reach this one: https://HOST:PORT; what it listens on by default",
    ),
    own(
        "node.id",
        ValueKind::Name,
        None,
        "the name of this node, unique in a cluster; by default the one it had, at first its host name",
    ),
    own(
        "node.insecure_peers",
        ValueKind::Flag,
        Some("false"),
        "ask nodes on other machines over plain http too: others on the way can read output and input",
    ),
    own(
        "node.labels",
        ValueKind::List,
        Some(""),
        "what this node calls itself for work that is placed by labels: gpu, os=linux",
    ),
    own(
        "node.launch_valid_for",
        ValueKind::Span(SECOND),
        Some("30d"),
        "how long after it was accepted here a launch may be started, in a store of many machines",
    ),
    own(
        "node.peer_ca_file",
        ValueKind::Text,
        Some(""),
        "a file of the certificates, in PEM, that other nodes are trusted by; those of this machine by default",
    ),
    key(
        "completions.window",
        ValueKind::Span(NO_TIME),
        "250ms",
        "processes of a session that end within such a time are reported to it at once",
    ),
    own(
        "on_end",
        ValueKind::List,
        Some(""),
        "a command that is run when a process ended, with its arguments",
    ),
    own(
        "on_failure",
        ValueKind::List,
        Some(""),
        "a command that is run when a process failed, with its arguments",
    ),
    own(
        "on_session_complete",
        ValueKind::List,
        Some(""),
        "a command that is run when the last process of a session ended, with its arguments",
    ),
    own(
        "on_start",
        ValueKind::List,
        Some(""),
        "a command that is run when a process began, with its arguments",
    ),
    key("output.head", ValueKind::Size, "1MiB", "output kept from the beginning of an attempt"),
    key("output.tail", ValueKind::Size, "64MiB", "output kept from the end of an attempt"),
    own(
        "output.replicated_tail",
        ValueKind::Size,
        Some("4KiB"),
        "output kept beside the record where machines share the store, for when its node is gone; at most 64KiB, 0 keeps none",
    ),
    key(
        "output.total",
        ValueKind::Size,
        "20GiB",
        "output kept in all; past it that of ended processes goes, 0 means no limit",
    ),
    own(
        "ready.allow_remote",
        ValueKind::Flag,
        Some("false"),
        "let ready_when ask HTTP addresses of other machines too, whoever launches names them",
    ),
    key(
        "retention.age",
        ValueKind::SpanOrNever(Duration::from_secs(60)),
        "7d",
        "how long ended processes are kept",
    ),
    key("retention.auto", ValueKind::Flag, "true", "let go of ended processes that are old"),
    key(
        "retention.bytes",
        ValueKind::Size,
        "5GiB",
        "output of ended processes; past it the oldest go, 0 means no limit",
    ),
    key(
        "retention.count",
        ValueKind::CountOrNever(u64::MAX),
        "100000",
        "ended processes that are kept, and all of the last 24 h",
    ),
    own(
        "serve.stop_processes",
        ValueKind::Flag,
        Some("false"),
        "stop all processes when the manager is told to end",
    ),
    key(
        "session.grace",
        ValueKind::Span(NO_TIME),
        "30s",
        "how long a process goes on after its session by the policy grace, where nobody says",
    ),
    key(
        "session.on_end",
        ValueKind::Word(&["keep", "cancel", "grace"]),
        "keep",
        "what becomes of a process when its session ends",
    ),
    own(
        "shim.containment",
        ValueKind::Word(&["auto", "cgroup", "subreaper", "group"]),
        Some("auto"),
        "what keeps the descendants of a command together",
    ),
    own(
        "shim.path",
        ValueKind::Text,
        None,
        "the program that supervises an attempt; found beside this one by default",
    ),
    own(
        STATE,
        ValueKind::Text,
        None,
        "the state directory; per project after `longhaul init`, else per user",
    ),
    key("stop.grace", ValueKind::Span(NO_TIME), "5s", "from the stop signal to KILL"),
    own(
        "store",
        ValueKind::Text,
        Some("sqlite:"),
        "where processes are kept: sqlite:, sqlite:PATH, fs:PATH, memory",
    ),
    own(
        "webhooks.allow",
        ValueKind::List,
        Some(""),
        "the only addresses that events are sent to, each with all that is below it: https://host:port/path",
    ),
    own(
        "webhooks.ca_file",
        ValueKind::Text,
        Some(""),
        "the file of the certificates that receivers are trusted by, in PEM; those of this machine by default",
    ),
];

const fn key(name: &'static str, kind: ValueKind, default: &'static str, meaning: &'static str) -> ConfigKey {
    ConfigKey { name, kind, default: Some(default), trust: KeyAuthority::Anyone, meaning }
}

const fn own(
    name: &'static str,
    kind: ValueKind,
    default: Option<&'static str>,
    meaning: &'static str,
) -> ConfigKey {
    ConfigKey { name, kind, default, trust: KeyAuthority::User, meaning }
}

/// The key of this name, which has to be one: a misspelt name stops the build.
macro_rules! key_of {
    ($name:literal) => {
        const { $crate::config::key::named($name) }
    };
}
pub(crate) use key_of;

/// The key of a name that is known when this is compiled.
#[expect(clippy::panic, clippy::indexing_slicing, reason = "it runs only while this is compiled")]
pub(crate) const fn named(name: &str) -> &'static ConfigKey {
    let mut place = 0;
    while place < KEYS.len() {
        if is_same(KEYS[place].name.as_bytes(), name.as_bytes()) {
            return &KEYS[place];
        }
        place += 1;
    }
    panic!("there is no such key")
}

#[expect(clippy::indexing_slicing, reason = "it runs only while this is compiled")]
const fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mut place = 0;
    while place < left.len() && place < right.len() && left[place] == right[place] {
        place += 1;
    }
    place == left.len() && place == right.len()
}

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static ConfigKey> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kind::RawConfigValue;

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for key in KEYS {
            if let Some(default) = key.default {
                let read = key.kind.read(&RawConfigValue::Text(default.to_owned()), true);
                assert!(read.is_ok(), "{}: {read:?}", key.name);
            }
        }
    }

    #[test]
    fn every_variable_is_one_of_its_own() {
        let mut variables: Vec<String> = KEYS.iter().map(ConfigKey::variable).collect();
        assert!(variables.contains(&"LONGHAUL_LIMITS_MAX_PARALLEL".to_owned()));
        assert!(variables.contains(&"LONGHAUL_NODE_ID".to_owned()));
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
    }
}
