//! Converts the merged configuration to the settings that a manager uses.

use crate::config::entry_table::EntryValues;
use crate::config::error::ConfigError;
use crate::config::failure_rules::FailureRules;
use crate::config::key::{ConfigKey, LEVELS, key_of};
use crate::config::kind::ConfigValue;
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::listening::ListenSettings;
use crate::config::notifications::NotificationSettings;
use crate::config::origin::ValueOrigin;
use crate::config::peers::PeerSettings;
use crate::config::runners::RunnerConfig;
use crate::previous_node;
use crate::stores::{Stores, unknown};
use longhaul_client::user_file;
use longhaul_domain::{
    Capability, ChildrenPolicy, Level, NodeId, OutputBound, Policy, ProgressDetection, ResourceLimits,
    Retention, SessionPolicy, SilencePolicy, SlotKey, TreeLimits, WatchPattern, WatchSource,
};
use longhaul_engine::ports::ArtifactLimits;
use longhaul_wire::store::StoreChoice;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The settings of a manager, converted from the merged configuration.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// Maximum number of root processes that run at the same time on this node; 0 means no limit.
    pub max_parallel: u32,
    /// Maximum depth and width of a process tree.
    pub tree: TreeLimits,
    /// True if launches that would have to wait for a slot are refused.
    pub refuse_when_full: bool,
    /// Number of slots of each concurrency key.
    pub policy: Policy,
    /// Concurrency key for agent launches that name no model.
    pub default_key: Option<SlotKey>,
    /// Time between the stop signal and SIGKILL when a process is stopped.
    pub grace: Duration,
    /// Maximum sizes of the stored head and tail of an attempt's output.
    pub output: OutputBound,
    /// Default policy for live descendants when a process ends without having been stopped.
    pub children: ChildrenPolicy,
    /// Default policy for live descendants when a process fails, times out or is interrupted. `None` means `children`.
    pub children_on_failure: Option<ChildrenPolicy>,
    /// Default policy for a process when its session ends.
    pub on_session_end: SessionPolicy,
    /// Default time from the end of a session until its processes are cancelled, with the session policy `grace`.
    pub session_grace: Duration,
    /// Time limit for recording the exit of a command. An exit that is recorded after this limit counts as late.
    pub detection_deadline: Duration,
    /// Default times without output after which a process is reported as idle or stalled.
    pub silence: SilencePolicy,
    /// True if readiness checks may connect to other machines.
    pub ready_beyond_loopback: bool,
    /// Default resource limits for commands on each level.
    pub level_limits: BTreeMap<Level, ResourceLimits>,
    /// Rules by which ended processes are pruned automatically. `None` if automatic pruning is off.
    pub retention: Option<Retention>,
    /// Maximum total size in bytes of the output of ended processes. Above this size, the oldest ended processes are
    /// pruned. `None` means no limit, or that automatic pruning is off.
    pub retention_bytes: Option<u64>,
    /// Maximum total size in bytes of all stored output. `None` means no limit.
    pub output_total: Option<u64>,
    /// Store that contains the processes.
    pub store: StoreChoice,
    /// Name of this node.
    pub node: NodeId,
    /// Labels of this node. A launch can require labels, so that the process runs only on nodes that have them.
    pub labels: BTreeSet<Capability>,
    /// Path of the cluster key file, which all nodes of a shared store need. `None` if no path is configured and the
    /// default path is unknown.
    pub cluster_key: Option<PathBuf>,
    /// Time after its acceptance during which a launch in a shared store may be started.
    pub launch_valid_for: Duration,
    /// True if the manager stops all processes when it shuts down.
    pub stop_processes: bool,
    /// Path of the shim program. `None` if no path is configured.
    pub shim: Option<PathBuf>,
    /// Mechanism that groups the descendants of a command.
    pub containment: ContainmentSetting,
    /// Network addresses on which the manager listens in addition to its socket.
    pub listening: ListenSettings,
    /// Settings for the connections between this node and other nodes.
    pub neighbourhood: PeerSettings,
    /// Maximum size in bytes of the output tail that a shared store keeps with each record. With 0, no tail is stored.
    pub tail_beside_record: u32,
    /// Webhooks and hooks that report events.
    pub outgoing: NotificationSettings,
    /// Patterns to search for in the output of each command.
    pub watch: Vec<WatchPattern>,
    /// Detection of the progress of each command.
    pub progress: ProgressDetection,
    /// The user's rules for finding the first error in the output of a failed command.
    pub failure_rules: FailureRules,
    /// Runners, which build the commands of agents.
    pub runners: RunnerConfig,
    /// Limits on the artifacts of one attempt.
    pub artifacts: ArtifactLimits,
}

/// Mechanism that groups the descendants of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainmentSetting {
    /// The strongest mechanism that works on this machine.
    Auto,
    /// A Linux control group for each attempt.
    Cgroup,
    /// The shim as subreaper, which becomes the parent of all orphaned descendants.
    Subreaper,
    /// The process group of the command; a descendant can leave it.
    Group,
}

impl ManagerConfig {
    /// Returns the settings of a manager from the merged configuration layers. Relative paths start at `state_dir`.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for an unknown store or another invalid value.
    pub fn of(layers: &Layers, state_dir: &Path) -> Result<Self, ConfigError> {
        Self::knowing(layers, state_dir, &Stores::default())
    }

    /// Like [`of`](Self::of), for a program that has added kinds of stores.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for an unknown store or another invalid value.
    pub fn knowing(layers: &Layers, state_dir: &Path, stores: &Stores) -> Result<Self, ConfigError> {
        let sweeps = flag(layers, key_of!("retention.auto"));
        Ok(Self {
            max_parallel: small(layers, key_of!("limits.max_parallel")),
            tree: TreeLimits {
                max_level: Level(
                    u8::try_from(count(layers, key_of!("limits.max_levels"))).unwrap_or(u8::MAX),
                ),
                // As for the other limits, 0 means no limit.
                per_level: match small(layers, key_of!("limits.max_per_level")) {
                    0 => u32::MAX,
                    limit => limit,
                },
            },
            refuse_when_full: flag(layers, key_of!("limits.refuse_when_full")),
            policy: Policy {
                slots: layers
                    .slots()
                    .map(|(pattern, setting)| (pattern.to_owned(), clamped(ConfigEntry::number(setting))))
                    .collect(),
                ..Policy::default()
            },
            default_key: text(layers, key_of!("keys.default")).and_then(|key| SlotKey::new(key).ok()),
            grace: span(layers, key_of!("stop.grace")),
            output: OutputBound {
                head: count(layers, key_of!("output.head")),
                tail: count(layers, key_of!("output.tail")),
            },
            children: text(layers, key_of!("children.on_end")).and_then(children).unwrap_or_default(),
            children_on_failure: text(layers, key_of!("children.on_failure")).and_then(children),
            session_grace: span(layers, key_of!("session.grace")),
            ready_beyond_loopback: flag(layers, key_of!("ready.allow_remote")),
            detection_deadline: span(layers, key_of!("detection.deadline")),
            silence: SilencePolicy {
                idle_after: span_or_never(layers, key_of!("monitor.idle_after")),
                stall_after: span_or_never(layers, key_of!("monitor.stall_after")),
            },
            on_session_end: match text(layers, key_of!("session.on_end")) {
                Some("cancel") => SessionPolicy::Cancel,
                Some("grace") => SessionPolicy::Grace(span(layers, key_of!("session.grace"))),
                Some(_) | None => SessionPolicy::Keep,
            },
            level_limits: level_limits(layers),
            retention: sweeps.then(|| Retention {
                age: span_or_never(layers, key_of!("retention.age")),
                count: count_or_never(layers, key_of!("retention.count")),
                before: None,
            }),
            retention_bytes: bound(layers, key_of!("retention.bytes")).filter(|_| sweeps),
            output_total: bound(layers, key_of!("output.total")),
            store: store(layers, state_dir, stores)?,
            node: node(layers, state_dir),
            labels: labels(layers)?,
            cluster_key: cluster_key(layers, state_dir),
            launch_valid_for: span(layers, key_of!("node.launch_valid_for")),
            stop_processes: flag(layers, key_of!("serve.stop_processes")),
            shim: text(layers, key_of!("shim.path")).filter(|path| !path.is_empty()).map(PathBuf::from),
            containment: match text(layers, key_of!("shim.containment")) {
                Some("cgroup") => ContainmentSetting::Cgroup,
                Some("subreaper") => ContainmentSetting::Subreaper,
                Some("group") => ContainmentSetting::Group,
                Some(_) | None => ContainmentSetting::Auto,
            },
            listening: ListenSettings::of(layers, state_dir)?,
            neighbourhood: PeerSettings::of(layers, state_dir)?,
            tail_beside_record: small(layers, key_of!("output.replicated_tail")).min(MAX_TAIL_BYTES),
            outgoing: NotificationSettings::of(layers, state_dir, |name| std::env::var(name).ok())?,
            watch: watch_patterns(layers)?,
            progress: progress_detection(layers)?,
            failure_rules: FailureRules::read(path(layers, state_dir, key_of!("failure.rules"))),
            runners: RunnerConfig::of(layers, |name| std::env::var(name).ok())?,
            artifacts: ArtifactLimits {
                files: small(layers, key_of!("artifacts.max_files")),
                file_bytes: count(layers, key_of!("artifacts.max_file_bytes")),
                total_bytes: count(layers, key_of!("artifacts.max_bytes")),
                time: span(layers, key_of!("artifacts.timeout")),
            },
        })
    }
}

fn store(layers: &Layers, state_dir: &Path, stores: &Stores) -> Result<StoreChoice, ConfigError> {
    let setting = layers.setting(key_of!("store"));
    let Some((setting, url)) = setting.and_then(|setting| Some((setting, setting.text()?))) else {
        return Ok(StoreChoice::in_state_dir(state_dir));
    };
    let other = || stores.knows(url).then(|| StoreChoice::Other(url.to_owned()));
    let chosen = StoreChoice::of(url, state_dir).or_else(other);
    chosen.ok_or_else(|| bad_store(url, setting.origin.clone(), stores))
}

/// Returns the error for an invalid store URL. For an unknown scheme, the error shows only the scheme, because the rest
/// of the URL may contain a password.
fn bad_store(url: &str, origin: ValueOrigin, stores: &Stores) -> ConfigError {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    let (text, why) = match scheme {
        "memory" => {
            (url, "the store `memory` has no path, because it keeps all data in the memory of the manager")
        }
        "sqlite" | "fs" => (url, "the type of the store must be followed by a colon, with or without a path"),
        _ => (scheme, unknown(url)),
    };
    ConfigError::BadValue {
        key: "store".to_owned(),
        text: format!("{text:?}"),
        origin: Box::new(origin),
        why: why.to_owned(),
        help: stores.choices(),
    }
}

/// Maximum size in bytes of an output tail in a shared store. The size is limited because the store keeps the tails in
/// memory.
const MAX_TAIL_BYTES: u32 = 64 * 1024;
/// Returns the name of this node. If no name is configured, the node keeps the name with which the state directory was
/// last used. Processes that wait for this node therefore still find it after the host was renamed.
fn node(layers: &Layers, state_dir: &Path) -> NodeId {
    let named = text(layers, key_of!("node.id")).and_then(|name| NodeId::new(name).ok());
    named.or_else(|| previous_node::named(state_dir)).unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        #[expect(clippy::expect_used, reason = "the text is a valid node name")]
        NodeId::new(&host).unwrap_or_else(|_| NodeId::new("localhost").expect("a plain word"))
    })
}

/// Returns the path of the cluster key file. The default path is next to the user's configuration file. Returns `None`
/// if no path is configured and the default path is unknown.
fn cluster_key(layers: &Layers, state_dir: &Path) -> Option<PathBuf> {
    let default = || Some(user_file(|name| std::env::var_os(name))?.with_file_name("cluster.key"));
    path(layers, state_dir, key_of!("cluster_key")).or_else(default)
}

fn labels(layers: &Layers) -> Result<BTreeSet<Capability>, ConfigError> {
    let Some(setting) = layers.setting(key_of!("node.labels")) else { return Ok(BTreeSet::new()) };
    let label = |text: &String| {
        let help = "give labels such as [\"gpu\", \"os=linux\"]";
        Capability::new(text)
            .map_err(|error| setting.invalid("node.labels", text, error.why.to_owned(), help))
    };
    setting.list().iter().map(label).collect()
}

fn progress_detection(layers: &Layers) -> Result<ProgressDetection, ConfigError> {
    let key = key_of!("progress.default");
    let (Some(setting), Some(text)) = (layers.setting(key), text(layers, key)) else {
        return Ok(ProgressDetection::default());
    };
    let detection = ProgressDetection::named(text);
    longhaul_engine::check_progress(&detection).map_err(|error| {
        let help =
            "give auto, fd, off, or a regular expression such as \"step (?P<done>\\\\d+)/(?P<total>\\\\d+)\"";
        setting.invalid(key.name, text, error.to_string(), help)
    })?;
    Ok(detection)
}

fn watch_patterns(layers: &Layers) -> Result<Vec<WatchPattern>, ConfigError> {
    let Some(setting) = layers.setting(key_of!("watch.default")) else { return Ok(Vec::new()) };
    let texts = setting.list();
    let invalid = |text: &str, why: String| {
        let help = "give patterns such as [\"stderr:error=^ERROR\"], or [] for none";
        setting.invalid("watch.default", text, why, help)
    };
    let mut patterns = Vec::with_capacity(texts.len());
    for text in texts {
        let watched: longhaul_cli::WatchArg =
            text.parse().map_err(|_| invalid(text, "the pattern has no name".to_owned()))?;
        patterns.push(WatchPattern {
            name: watched.name().to_owned(),
            pattern: watched.pattern().to_owned(),
            source: match watched.stream() {
                Some("stdout") => WatchSource::Stdout,
                Some(_) => WatchSource::Stderr,
                None => WatchSource::Both,
            },
        });
        longhaul_engine::check_watch(&patterns).map_err(|error| invalid(text, error.to_string()))?;
    }
    Ok(patterns)
}

fn children(word: &str) -> Option<ChildrenPolicy> {
    match word {
        "keep" => Some(ChildrenPolicy::Keep),
        "cancel" => Some(ChildrenPolicy::Cancel),
        "wait" => Some(ChildrenPolicy::Wait),
        _ => None,
    }
}

pub(super) fn text<'a>(layers: &'a Layers, key: &'static ConfigKey) -> Option<&'a str> {
    layers.setting(key)?.text()
}

/// Returns the path that a key contains. Relative paths start at the state directory. Returns `None` if the key is not
/// set or empty.
pub(super) fn path(layers: &Layers, state_dir: &Path, key: &'static ConfigKey) -> Option<PathBuf> {
    text(layers, key).filter(|path| !path.is_empty()).map(|path| state_dir.join(path))
}

pub(super) fn flag(layers: &Layers, key: &'static ConfigKey) -> bool {
    layers.setting(key).is_some_and(|setting| setting.value == ConfigValue::Flag(true))
}

pub(super) fn span(layers: &Layers, key: &'static ConfigKey) -> Duration {
    span_or_never(layers, key).unwrap_or_default()
}

/// Returns the environment variables that a list names. An entry `NAME=VALUE` sets the variable. For an entry `NAME`,
/// the value is copied from the environment of the manager; if the manager does not have the variable, it is left out.
pub(super) fn variables(
    declared: &[String],
    variable: &impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let pairs = declared.iter().filter_map(|text| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => variable(text).map(|value| (text.clone(), value)),
    });
    pairs.collect()
}

fn span_or_never(layers: &Layers, key: &'static ConfigKey) -> Option<Duration> {
    layers.setting(key)?.span()
}

fn count_or_never(layers: &Layers, key: &'static ConfigKey) -> Option<u64> {
    let ConfigValue::Count(count) = layers.setting(key)?.value else { return None };
    Some(count)
}

/// Returns the resource limits for commands on each level. A configured 0 means no limit.
fn level_limits(layers: &Layers) -> BTreeMap<Level, ResourceLimits> {
    let limits_of = |values: EntryValues<'_>| {
        let limit = |field: &str| {
            let entry = values.get(field)?;
            let limit = entry.span().map_or_else(|| entry.number(), |span| span.as_secs());
            Some(limit).filter(|limit| *limit > 0)
        };
        let limits = ResourceLimits {
            cpu_seconds: limit("cpu"),
            memory_bytes: limit("memory"),
            open_files: limit("open_files"),
            processes: limit("processes"),
            file_bytes: limit("file_size"),
        };
        Some((Level(values.name().parse().ok()?), limits))
    };
    layers.entries(&LEVELS).into_iter().filter_map(limits_of).collect()
}

/// Returns a limit from the configuration. Returns `None` if the value is 0, which means no limit.
fn bound(layers: &Layers, key: &'static ConfigKey) -> Option<u64> {
    Some(count(layers, key)).filter(|bound| *bound > 0)
}

fn count(layers: &Layers, key: &'static ConfigKey) -> u64 {
    layers.setting(key).map_or(0, ConfigEntry::number)
}

fn small(layers: &Layers, key: &'static ConfigKey) -> u32 {
    clamped(count(layers, key))
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::{ConfigSources, Flags};
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
        assert_eq!(settings.children, ChildrenPolicy::default());
        assert_eq!(settings.on_session_end, SessionPolicy::default());
        assert!(settings.level_limits.is_empty());
        assert!(settings.silence.is_none());
        assert_eq!(settings.retention, Some(Retention::default()));
        assert_eq!(settings.retention_bytes, Some(5 << 30));
        assert_eq!(settings.output_total, Some(20 << 30));
    }

    #[test]
    fn retention_is_from_a_minute_to_never_and_can_be_switched_off() {
        let settings = |lines: &str| from_file(lines).unwrap();
        let minute = settings("retention.age = \"60s\"\nretention.count = 5\n");
        let rule = Retention { age: Some(Duration::from_secs(60)), count: Some(5), before: None };
        assert_eq!(minute.retention, Some(rule));
        assert_eq!(settings("retention.age = \"never\"\n").retention.unwrap().age, None);
        assert_eq!(settings("retention.count = \"never\"\n").retention.unwrap().count, None);
        assert_eq!(settings("retention.bytes = 0\noutput.total = 0\n").retention_bytes, None);
        let off = settings("retention.auto = false\n");
        assert_eq!((off.retention, off.retention_bytes), (None, None));
        assert!(from_file("retention.age = \"59s\"\n").is_err());
    }

    #[test]
    fn silence_is_reported_only_if_it_is_configured() {
        let settings = from_file("monitor.idle_after = \"2m\"\n").unwrap();
        assert_eq!(settings.silence.idle_after, Some(Duration::from_secs(120)));
        assert_eq!(settings.silence.stall_after, None);
        assert!(from_file("monitor.stall_after = \"10ms\"\n").is_err());
    }

    #[test]
    fn limits_of_levels_and_policies_are_read() {
        let settings = from_file(
            "[limits.level.2]\nmemory = \"1GiB\"\ncpu = \"90s\"\nprocesses = 0\n[session]\non_end = \"grace\"\ngrace = 7\n[children]\non_end = \"wait\"\n",
        )
        .unwrap();
        let limits = ResourceLimits {
            cpu_seconds: Some(90),
            memory_bytes: Some(1 << 30),
            ..ResourceLimits::default()
        };
        assert_eq!(settings.level_limits, BTreeMap::from([(Level(2), limits)]));
        assert_eq!(settings.on_session_end, SessionPolicy::Grace(Duration::from_secs(7)));
        assert_eq!(settings.session_grace, Duration::from_secs(7));
        assert_eq!(settings.children, ChildrenPolicy::Wait);
        assert!(from_file("session.on_end = \"stop\"\n").is_err());
    }

    #[test]
    fn readiness_checks_contact_only_this_machine_by_default() {
        assert!(!from_file("").unwrap().ready_beyond_loopback);
        assert!(from_file("ready.allow_remote = true\n").unwrap().ready_beyond_loopback);
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("longhaul.toml");
        std::fs::write(&path, "ready.allow_remote = true\n").unwrap();
        let of_project = ConfigSources { project_files: vec![path], ..ConfigSources::default() }.read();
        assert!(matches!(of_project, Err(ConfigError::NotForProjects { .. })));
    }

    #[test]
    fn node_has_the_labels_that_its_user_gives_it() {
        assert!(from_file("").unwrap().labels.is_empty());
        let labels = from_file("node.labels = [\"os=linux\", \"gpu\", \"gpu\"]\n").unwrap().labels;
        assert_eq!(labels.iter().map(Capability::as_str).collect::<Vec<_>>(), ["gpu", "os=linux"]);
        let wrong = from_file("node.labels = [\"\"]\n").unwrap_err();
        assert!(wrong.to_string().contains("node.labels"), "{wrong}");
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
        assert_eq!(store("fs:").unwrap(), StoreChoice::Fs("/state/store".into()));
        assert_eq!(store("fs:/x/y").unwrap(), StoreChoice::Fs("/x/y".into()));
        assert_eq!(store("fs:y").unwrap().to_string(), "fs:/state/y");
        let why = |url: &str| store(url).unwrap_err().why().unwrap();
        assert!(why("memory:x").contains("has no path"), "{}", why("memory:x"));
        assert!(why("sqlite").contains("a colon"), "{}", why("sqlite"));
        assert!(why("etcd://me:secret@x").contains("does not support this type of store"));
        let shared = store("redis://me:secret@x/1?namespace=ci").unwrap();
        assert!(matches!(shared, StoreChoice::Other(_)), "{shared:?}");
        assert!(!shared.to_string().contains("secret"), "{shared}");
        assert!(store("memory:x").is_err() && store("fs").is_err() && store("").is_err());
    }

    #[test]
    fn complaint_about_a_store_keeps_its_password_secret() {
        let flags = Flags { store: Some("etcd://:hunter2@host/".to_owned()), ..Flags::default() };
        let error = of(flags).unwrap_err();
        let said = format!("{error} {:?} {:?}", error.why(), error.help());
        assert!(said.contains("etcd") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn output_is_searched_for_errors_unless_the_list_of_patterns_is_empty() {
        let default = from_file("").unwrap().watch;
        assert_eq!(default.iter().map(|watch| watch.name.as_str()).collect::<Vec<_>>(), ["error"]);
        assert_eq!(default.first().unwrap().source, WatchSource::Stderr);
        assert_eq!(from_file("watch.default = []\n").unwrap().watch, []);
        let own = from_file("watch.default = [\"oom=out of memory\"]\n").unwrap().watch;
        assert_eq!((own[0].name.as_str(), own[0].source), ("oom", WatchSource::Both));
        for wrong in ["error", "e=(", "stderr:=x"] {
            let error = from_file(&format!("watch.default = [\"{wrong}\"]\n")).unwrap_err();
            assert!(error.to_string().contains("watch.default"), "{error}");
        }
    }

    #[test]
    fn children_of_a_failed_process_have_a_separate_policy_only_if_it_is_configured() {
        assert_eq!(from_file("").unwrap().children_on_failure, None);
        assert_eq!(from_file("children.on_failure = \"same\"\n").unwrap().children_on_failure, None);
        let set = from_file("children.on_failure = \"cancel\"\n").unwrap();
        assert_eq!(
            (set.children, set.children_on_failure),
            (ChildrenPolicy::Keep, Some(ChildrenPolicy::Cancel))
        );
        assert!(from_file("children.on_failure = \"kill\"\n").is_err());
    }

    #[test]
    fn unusable_failure_rules_are_a_fault_and_not_an_error_of_the_configuration() {
        let found = from_file("failure.rules = \"/nowhere/rules.toml\"\n").unwrap().failure_rules;
        assert_eq!(found.fault().unwrap().path, Path::new("/nowhere/rules.toml"));
        assert!(from_file("").unwrap().failure_rules.fault().is_none());
    }

    fn from_file(lines: &str) -> Result<ManagerConfig, ConfigError> {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        std::fs::write(&path, lines).unwrap();
        let sources = ConfigSources { user_file: Some(path), ..ConfigSources::default() };
        ManagerConfig::of(&sources.read()?, Path::new("/state"))
    }

    fn of(flags: Flags) -> Result<ManagerConfig, ConfigError> {
        let sources = ConfigSources { flags, ..ConfigSources::default() };
        ManagerConfig::of(&sources.read().unwrap(), Path::new("/state"))
    }
}
