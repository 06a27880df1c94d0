//! All keys of the configuration, with their defaults and permissions.

use crate::config::entry_table::{EntryField, EntryTable};
use crate::config::kind::ValueKind;
use std::time::Duration;

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Full name of the key, with dots between table names.
    pub name: &'static str,
    /// Kind of the values that this key accepts.
    pub kind: ValueKind,
    /// Default value, in the same notation as in an environment variable. `None` if the default is determined when the
    /// manager starts.
    pub default: Option<&'static str>,
    /// Sources that may set the key.
    pub trust: KeyAuthority,
    /// Description of the key for the user.
    pub meaning: &'static str,
}

/// Sources that may set a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAuthority {
    /// All sources, including project files.
    Anyone,
    /// Only the sources of the user: the user's file, the environment and flags.
    User,
}

impl ConfigKey {
    /// Returns the name of the environment variable that sets the key.
    #[must_use]
    pub fn variable(&self) -> String {
        // The state directory must be known before the configuration is read. Its environment variable therefore has a
        // special name.
        if self.name == STATE {
            return "LONGHAUL_STATE_DIR".to_owned();
        }
        format!("LONGHAUL_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

pub(crate) const STATE: &str = "state";
/// Name of the table whose keys are patterns of concurrency keys.
pub(crate) const SLOTS: &str = "keys.limit";
/// Kind of the values in the table [`SLOTS`].
pub(crate) const SLOTS_KIND: ValueKind = ValueKind::Count(MAX_COUNT);
/// Description of the keys in the table [`SLOTS`].
pub(crate) const SLOTS_MEANING: &str = "slots of a concurrency key, or of all keys with this prefix (`opus*`); 0 means no limit, the longest pattern wins";

/// Table that sets resource limits for commands. It contains one table for each level of the process tree. A limit
/// applies if the launch does not set a limit for this resource. The value 0 means no limit.
pub(super) static LEVELS: EntryTable = EntryTable {
    name: "limits.level",
    meaning: "resource limits of commands, for each level of the process tree; limits of the launch take precedence",
    placeholder: "N",
    pattern: "^[0-9]+$",
    canonical: |level| {
        let level = level.parse::<u8>().ok().filter(|level| *level <= MAX_LEVEL);
        level.map(|level| level.to_string())
    },
    trust: KeyAuthority::Anyone,
    fields: &[
        EntryField::new(
            "cpu",
            ValueKind::Span(SECOND),
            "limit of commands on level N: CPU time of an attempt",
        ),
        EntryField::new(
            "file_size",
            ValueKind::Size,
            "limit of commands on level N: the size of one written file",
        ),
        EntryField::new("memory", ValueKind::Size, "limit of commands on level N: memory of an attempt"),
        EntryField::new(
            "open_files",
            ValueKind::Count(MAX_COUNT),
            "limit of commands on level N: open files",
        ),
        EntryField::new(
            "processes",
            ValueKind::Count(MAX_COUNT),
            "limit of commands on level N: operating system processes",
        ),
    ],
};
/// Highest level in the table [`LEVELS`].
const MAX_LEVEL: u8 = 64;

/// Default value of `watch.default`: patterns that match error lines which programs write to standard error.
const DEFAULT_WATCH: &str =
    r"stderr:error=^(?i:error|fatal|panic|traceback)\b|^thread '.*' panicked at |^[\w.]+(Error|Exception)\b";

const MAX_COUNT: u64 = u32::MAX as u64;
const SECOND: Duration = Duration::from_secs(1);
const MIN_DEADLINE: Duration = Duration::from_millis(10);
const NO_TIME: Duration = Duration::ZERO;

/// All configuration keys except those in the tables `keys.limit`, `limits.level`, `runner` and `webhook`.
pub const KEYS: &[ConfigKey] = &[
    key(
        "monitor.idle_after",
        ValueKind::SpanOrNever(SECOND),
        "never",
        "time without output or report after which a process is reported as idle",
    ),
    key(
        "monitor.stall_after",
        ValueKind::SpanOrNever(SECOND),
        "never",
        "time without output, report or CPU use, or without a change of known progress, after which a process is reported as stalled",
    ),
    own(
        "artifacts.max_bytes",
        ValueKind::Size,
        Some("256MiB"),
        "maximum size of all artifacts of an attempt; further files are listed as skipped",
    ),
    own(
        "artifacts.max_file_bytes",
        ValueKind::Size,
        Some("64MiB"),
        "maximum size of one artifact; larger files are listed as skipped",
    ),
    own(
        "artifacts.max_files",
        ValueKind::Count(10_000),
        Some("200"),
        "maximum number of artifacts of an attempt; further files are listed as skipped",
    ),
    own(
        "artifacts.timeout",
        ValueKind::Span(SECOND),
        Some("5s"),
        "time for which the end of an attempt waits while its artifacts are copied; files that are not copied by then are listed as skipped",
    ),
    key(
        "children.on_end",
        ValueKind::Word(&["keep", "cancel", "wait"]),
        "keep",
        "action on live descendants when a process ends without being stopped",
    ),
    key(
        "children.on_failure",
        ValueKind::Word(&["same", "keep", "cancel", "wait"]),
        "same",
        "action on live descendants when a process fails, times out or is interrupted; same: as children.on_end",
    ),
    own(
        "cluster_key",
        ValueKind::Text,
        None,
        "file of the key that all nodes of a cluster share; default: cluster.key next to the user's configuration file",
    ),
    own(
        "detection.deadline",
        ValueKind::Span(MIN_DEADLINE),
        Some("500ms"),
        "time limit for recording the exit of a command; an exit that is recorded later is reported as late",
    ),
    own(
        "failure.rules",
        ValueKind::Text,
        Some(""),
        "file of rules that find the first error in the output of a failed command, in addition to the built-in rules; relative paths start at the state directory",
    ),
    own(
        "hooks.directory",
        ValueKind::Text,
        Some(""),
        "working directory of hooks; default: the home directory",
    ),
    own(
        "hooks.environment",
        ValueKind::List,
        Some(""),
        "environment variables of hooks in addition to PATH and HOME: NAME=VALUE, or NAME to copy it from the manager",
    ),
    own(
        "hooks.projects",
        ValueKind::List,
        Some(""),
        "projects for whose processes on_start, on_end and on_failure are called; default: all",
    ),
    own(
        "hooks.statuses",
        ValueKind::List,
        Some(""),
        "process statuses for which on_start, on_end and on_failure are called, such as timeout; default: all",
    ),
    own("hooks.timeout", ValueKind::Span(SECOND), Some("30s"), "time limit of a hook"),
    own(
        "hooks.types",
        ValueKind::List,
        Some(""),
        "process types for which on_start, on_end and on_failure are called, such as test_suite; default: all",
    ),
    key("keys.default", ValueKind::Name, "sonnet", "concurrency key of agent launches that name no model"),
    key("limits.max_levels", ValueKind::Count(64), "10", "maximum level below a root process"),
    key(
        "limits.max_parallel",
        ValueKind::Count(MAX_COUNT),
        "10",
        "maximum number of running root processes on a node; 0 means no limit",
    ),
    key(
        "limits.max_per_level",
        ValueKind::Count(MAX_COUNT),
        "20",
        "maximum number of live processes on one level of a tree; 0 means no limit",
    ),
    key(
        "limits.refuse_when_full",
        ValueKind::Flag,
        "false",
        "refuse launches that would have to wait for a slot, instead of queueing them; restarts are still queued",
    ),
    own(
        "listen.addresses",
        ValueKind::List,
        Some(""),
        "network addresses on which the manager listens in addition to its socket: 127.0.0.1:PORT; port 0 picks a free port",
    ),
    own(
        "listen.allow_remote",
        ValueKind::Flag,
        Some("false"),
        "accept connections from other machines; requires TLS or listen.insecure_behind_proxy",
    ),
    own(
        "listen.hosts",
        ValueKind::List,
        Some(""),
        "host names that clients may send in addition to the addresses: host or host:port",
    ),
    own(
        "listen.insecure_behind_proxy",
        ValueKind::Flag,
        Some("false"),
        "accept other machines without TLS, because a proxy in front of the manager terminates TLS",
    ),
    own(
        "listen.origins",
        ValueKind::List,
        Some(""),
        "origins of web pages that may send requests: https://host or http://host:port",
    ),
    own(
        "listen.tls_cert",
        ValueKind::Text,
        Some(""),
        "certificate chain file in PEM; all listen addresses then use TLS",
    ),
    own(
        "listen.tls_key",
        ValueKind::Text,
        Some(""),
        "private key file of listen.tls_cert in PEM; other users must not be able to read it",
    ),
    own(
        "node.address",
        ValueKind::Text,
        Some(""),
        "address at which other nodes reach this one: https://HOST:PORT; default: the listen address",
    ),
    own(
        "node.id",
        ValueKind::Name,
        None,
        "name of this node, unique in a cluster; default: its previous name, at first the host name",
    ),
    own(
        "node.insecure_peers",
        ValueKind::Flag,
        Some("false"),
        "allow plain http between nodes on different machines: the network can then read output and input",
    ),
    own("node.labels", ValueKind::List, Some(""), "labels of this node for placement: gpu, os=linux"),
    own(
        "node.launch_valid_for",
        ValueKind::Span(SECOND),
        Some("30d"),
        "in a cluster: time after acceptance during which a launch may be started",
    ),
    own(
        "node.peer_ca_file",
        ValueKind::Text,
        Some(""),
        "CA file in PEM that verifies other nodes; default: the CAs of this machine",
    ),
    key(
        "completions.window",
        ValueKind::Span(NO_TIME),
        "250ms",
        "ends of a session within this time are delivered as one batch",
    ),
    own("on_end", ValueKind::List, Some(""), "hook after a process ended: program and arguments"),
    own("on_failure", ValueKind::List, Some(""), "hook after a process failed: program and arguments"),
    own(
        "on_session_complete",
        ValueKind::List,
        Some(""),
        "hook after the last process of a session ended: program and arguments",
    ),
    own("on_start", ValueKind::List, Some(""), "hook after a process started: program and arguments"),
    key("output.head", ValueKind::Size, "1MiB", "size of the stored start of an attempt's output"),
    key("output.tail", ValueKind::Size, "64MiB", "size of the stored end of an attempt's output"),
    own(
        "output.replicated_tail",
        ValueKind::Size,
        Some("4KiB"),
        "in a cluster: size of the end of the output that is stored with the record, readable when the node is lost; at most 64KiB, 0 stores none",
    ),
    key(
        "output.total",
        ValueKind::Size,
        "20GiB",
        "maximum size of all output; above it, output of ended processes is deleted; 0 means no limit",
    ),
    own(
        "ready.allow_remote",
        ValueKind::Flag,
        Some("false"),
        "allow readiness checks against HTTP addresses of other machines, which the launch names",
    ),
    key(
        "retention.age",
        ValueKind::SpanOrNever(Duration::from_secs(60)),
        "7d",
        "age at which ended processes are deleted",
    ),
    key("retention.auto", ValueKind::Flag, "true", "delete old ended processes automatically"),
    key(
        "retention.bytes",
        ValueKind::Size,
        "5GiB",
        "maximum size of the output of ended processes; above it, the oldest are deleted; 0 means no limit",
    ),
    key(
        "retention.count",
        ValueKind::CountOrNever(u64::MAX),
        "100000",
        "maximum number of ended processes; those of the last 24 h are always kept",
    ),
    own(
        "runner.default",
        ValueKind::Text,
        Some(""),
        "runner for launches that have a prompt but name no agent; default: such a launch is refused",
    ),
    own("serve.stop_processes", ValueKind::Flag, Some("false"), "stop all processes when the manager ends"),
    key(
        "session.grace",
        ValueKind::Span(NO_TIME),
        "30s",
        "default time until a process is cancelled after its session ended, with the policy grace",
    ),
    key(
        "session.on_end",
        ValueKind::Word(&["keep", "cancel", "grace"]),
        "keep",
        "default action on a process when its session ends",
    ),
    own(
        "shim.containment",
        ValueKind::Word(&["auto", "cgroup", "subreaper", "group"]),
        Some("auto"),
        "mechanism that holds the process tree of a command together",
    ),
    own("shim.path", ValueKind::Text, None, "path of the shim program; default: next to this program"),
    own(
        STATE,
        ValueKind::Text,
        None,
        "state directory; default: the project's after `longhaul init`, else the user's",
    ),
    key("stop.grace", ValueKind::Span(NO_TIME), "5s", "time between the stop signal and KILL"),
    key(
        "progress.default",
        ValueKind::Text,
        "off",
        "detection of the progress of each command: auto (bars of common programs in the output), fd (JSON lines to LONGHAUL_PROGRESS_FD), off, or a regular expression",
    ),
    own(
        "store",
        ValueKind::Text,
        Some("sqlite:"),
        "store URL: sqlite:, sqlite:PATH, fs:PATH, memory, postgres://…, redis://…",
    ),
    key(
        "watch.default",
        ValueKind::List,
        DEFAULT_WATCH,
        "patterns that are searched in the output of each command: NAME=REGEX, or stderr:NAME=REGEX for one stream; [] searches for none",
    ),
    own(
        "webhooks.allow",
        ValueKind::List,
        Some(""),
        "allowed webhook addresses, each with all paths below it: https://host:port/path",
    ),
    own(
        "webhooks.ca_file",
        ValueKind::Text,
        Some(""),
        "CA file in PEM that verifies webhook receivers; default: the CAs of this machine",
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

/// Expands to the configuration key with this name. An unknown name is a compile-time error.
macro_rules! key_of {
    ($name:literal) => {
        const { $crate::config::key::named($name) }
    };
}
pub(crate) use key_of;

/// Returns the configuration key with this name in a constant expression.
///
/// # Panics
/// Panics if no configuration key has this name. The call is evaluated at compile time, so the compiler reports the
/// panic as an error.
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

/// Returns the configuration key with this name.
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
