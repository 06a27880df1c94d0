//! Generators for specs and their parts.

use crate::suite::must;
use longhaul_domain::{
    AgentDescriptor, AgentId, AgentOutputFormat, AgentType, ArtifactPattern, Capability, ChildrenPolicy,
    CommandSpec, ConfiguredLimits, EnvironmentHash, EnvironmentSpec, JsonText, LaunchKey, Leftovers, NodeId,
    OutputBound, Placement, Policy, Priority, ProcessName, ProcessType, ProgressDetection, ProjectName,
    QueueHold, ReadyWhen, ReportedSpec, ResourceLimits, RetryPolicy, RunnerChoice, SessionId, SessionPolicy,
    SilencePolicy, SlotKey, Spec, Stdin, StopPolicy, TestReporting, Timestamp, TypeName, WatchPattern,
    WatchSource, Work,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use std::time::Duration;

/// Generates specs of all kinds, with arbitrary combinations of fields.
pub fn specs() -> impl Strategy<Value = Spec> {
    let work = prop_oneof![
        3 => commands_to_run().prop_map(|command| Work::Command(Box::new(command))),
        1 => reported().prop_map(Work::Reported),
    ];
    let names = (
        option::of(name().prop_map(|text| must(ProcessName::new(&text)))),
        option::of(name().prop_map(|text| must(ProjectName::new(&text)))),
        option::of(name().prop_map(|text| must(SessionId::new(&text)))),
        option::of(name().prop_map(|text| must(LaunchKey::new(&text)))),
        option::of(text()),
        option::of(json()),
    );
    let queue = (option::of(key()), priority(), option::of(moment()), placements(), retries());
    let after = (children(), option::of(children()), session_policies(), silences());
    (work, kind(), names, agent(), queue, after).prop_map(|(work, kind, names, agent, queue, after)| {
        let (name, project, session, launch_key, description, metadata) = names;
        let (key, priority, not_before, placement, retry) = queue;
        Spec {
            work,
            kind,
            name,
            project,
            session,
            description,
            metadata,
            agent,
            key,
            priority,
            launch_key,
            not_before,
            placement,
            retry,
            children: after.0,
            children_on_failure: after.1,
            on_session_end: after.2,
            silence: after.3,
        }
    })
}

/// Generates commands with all of their settings.
pub fn commands_to_run() -> impl Strategy<Value = CommandSpec> {
    let stdin = prop_oneof![Just(Stdin::Null), Just(Stdin::Pipe), text().prop_map(Stdin::File)];
    let stop = (span(), 1..=31_u8, option::of(span()))
        .prop_map(|(grace, signal, interrupt_first)| StopPolicy { grace, signal, interrupt_first });
    let leftovers = prop_oneof![Just(Leftovers::Stop), Just(Leftovers::Keep)];
    let output = (any::<u32>(), any::<u32>())
        .prop_map(|(head, tail)| OutputBound { head: u64::from(head), tail: u64::from(tail) });
    let words = (text(), vec(text(), 0..4), text());
    let notices = (
        option::of(ready_whens()),
        vec(watch_patterns(), 0..3),
        option::of(runners()),
        test_reportings(),
        vec(artifact_patterns(), 0..3),
        progress_detections(),
    );
    (words, environment(), stdin, option::of(span()), stop, leftovers, (output, notices), limits()).prop_map(
        |(
            (program, args, directory),
            environment,
            stdin,
            timeout,
            stop,
            leftovers,
            (output, notices),
            limits,
        )| {
            CommandSpec {
                program,
                args,
                directory,
                environment,
                stdin,
                timeout,
                stop,
                leftovers,
                output,
                limits,
                ready_when: notices.0,
                watch: notices.1,
                runner: notices.2,
                tests: notices.3,
                artifacts: notices.4,
                progress: notices.5,
            }
        },
    )
}

/// Generates artifact patterns.
fn artifact_patterns() -> impl Strategy<Value = ArtifactPattern> {
    let texts = prop_oneof![Just("a.xml"), Just("**/*.log"), Just("out/"), Just("[!a-c]?.txt"), Just(".")];
    texts.prop_filter_map("every pattern is valid", |text| ArtifactPattern::new(text).ok())
}

/// Generates the runners of commands.
fn runners() -> impl Strategy<Value = RunnerChoice> {
    (name(), select(AgentOutputFormat::ALL.to_vec())).prop_map(|(name, output)| RunnerChoice { name, output })
}

/// Generates sources of test results.
fn test_reportings() -> impl Strategy<Value = TestReporting> {
    prop_oneof![
        3 => Just(TestReporting::Detect),
        1 => Just(TestReporting::Off),
        1 => Just(TestReporting::Auto),
        1 => text().prop_map(TestReporting::Junit),
    ]
}

/// Generates ways in which progress is detected.
fn progress_detections() -> impl Strategy<Value = ProgressDetection> {
    prop_oneof![
        3 => Just(ProgressDetection::Off),
        1 => text().prop_map(|pattern| ProgressDetection::named(&pattern)),
        1 => Just(ProgressDetection::Auto),
        1 => Just(ProgressDetection::Descriptor),
    ]
}

/// Generates readiness checks.
pub fn ready_whens() -> impl Strategy<Value = ReadyWhen> {
    prop_oneof![
        any::<u16>().prop_map(ReadyWhen::Port),
        text().prop_map(|url| ReadyWhen::Http { url }),
        text().prop_map(|pattern| ReadyWhen::Log { pattern }),
        (text(), vec(text(), 0..3)).prop_map(|(program, args)| ReadyWhen::Command { program, args }),
    ]
}

/// Generates patterns to watch for in output.
pub fn watch_patterns() -> impl Strategy<Value = WatchPattern> {
    let source = prop_oneof![Just(WatchSource::Both), Just(WatchSource::Stdout), Just(WatchSource::Stderr)];
    (name(), text(), source).prop_map(|(name, pattern, source)| WatchPattern { name, pattern, source })
}

/// Generates limits on the time without output or progress.
pub fn silences() -> impl Strategy<Value = SilencePolicy> {
    (option::of(span()), option::of(span()))
        .prop_map(|(idle_after, stall_after)| SilencePolicy { idle_after, stall_after })
}

/// Generates reported work.
pub fn reported() -> impl Strategy<Value = ReportedSpec> {
    (option::of(node()), any::<bool>(), option::of(span()), span())
        .prop_map(|(node, queued, heartbeat, grace)| ReportedSpec { node, queued, heartbeat, grace })
}

/// Generates placements.
pub fn placements() -> impl Strategy<Value = Placement> {
    prop_oneof![
        Just(Placement::Here),
        node().prop_map(Placement::Node),
        vec(name().prop_map(|text| must(Capability::new(&text))), 0..3).prop_map(Placement::Labels),
        Just(Placement::Anywhere),
    ]
}

/// Generates policies for the descendants of a process.
pub fn children() -> impl Strategy<Value = ChildrenPolicy> {
    prop_oneof![Just(ChildrenPolicy::Keep), Just(ChildrenPolicy::Cancel), Just(ChildrenPolicy::Wait)]
}

/// Generates policies for the end of a session.
pub fn session_policies() -> impl Strategy<Value = SessionPolicy> {
    prop_oneof![Just(SessionPolicy::Keep), Just(SessionPolicy::Cancel), span().prop_map(SessionPolicy::Grace)]
}

/// Generates retry policies.
pub fn retries() -> impl Strategy<Value = RetryPolicy> {
    (0..5_u32, span(), span(), vec(any::<i32>(), 0..3), any::<bool>(), any::<bool>()).prop_map(
        |(retries, first, cap, codes, after_timeout, after_interruption)| RetryPolicy {
            retries,
            first,
            cap,
            codes,
            after_timeout,
            after_interruption,
        },
    )
}

/// Generates policies: the slots of keys and held queues.
pub fn policies() -> impl Strategy<Value = Policy> {
    let pattern = || prop_oneof![name(), name().prop_map(|text| format!("{text}*"))];
    let hold = (moment(), option::of(text())).prop_map(|(since, by)| QueueHold { since, by });
    let slots = || btree_map(pattern(), 0..9_u32, 0..4);
    let configured =
        (slots(), 0..9_u32).prop_map(|(slots, default_slots)| ConfiguredLimits { slots, default_slots });
    (slots(), 0..9_u32, btree_map(key(), hold, 0..3), option::of(configured)).prop_map(
        |(slots, default_slots, held, configured)| Policy { slots, default_slots, held, configured },
    )
}

fn agent() -> impl Strategy<Value = AgentDescriptor> {
    (
        option::of(name().prop_map(|text| must(AgentId::new(&text)))),
        option::of(name().prop_map(|text| must(AgentType::new(&text)))),
        vec(name().prop_map(|text| must(Capability::new(&text))), 0..3),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
    )
        .prop_map(|(agent_id, agent_type, capabilities, parent_message_id, prompt, agent, model)| {
            AgentDescriptor { agent_id, agent_type, capabilities, parent_message_id, prompt, agent, model }
        })
}

fn environment() -> impl Strategy<Value = EnvironmentSpec> {
    (
        option::of("[0-9a-f]{64}".prop_map(EnvironmentHash)),
        vec(("[A-Z_]{1,8}", text()), 0..3),
        vec("[A-Z_]{1,8}", 0..3),
        any::<bool>(),
    )
        .prop_map(|(captured, declared, removed, bare)| EnvironmentSpec {
            captured,
            declared,
            removed,
            bare,
        })
}

fn limits() -> impl Strategy<Value = ResourceLimits> {
    let limit = || option::of(any::<u64>());
    (limit(), limit(), limit(), limit(), limit()).prop_map(
        |(cpu_seconds, memory_bytes, open_files, processes, file_bytes)| ResourceLimits {
            cpu_seconds,
            memory_bytes,
            open_files,
            processes,
            file_bytes,
        },
    )
}

fn kind() -> impl Strategy<Value = ProcessType> {
    prop_oneof![
        Just(ProcessType::JulesSession),
        Just(ProcessType::TestSuite),
        Just(ProcessType::Build),
        Just(ProcessType::Server),
        Just(ProcessType::Analysis),
        Just(ProcessType::Custom),
        name().prop_map(|text| ProcessType::Named(must(TypeName::new(&text)))),
    ]
}

fn json() -> impl Strategy<Value = JsonText> {
    prop_oneof![
        Just("{}".to_owned()),
        any::<i64>().prop_map(|number| format!("{{\"number\":{number}}}")),
        "[a-z ]{0,20}".prop_map(|word| format!("{{\"word\":\"{word}\",\"list\":[1,2.5,null]}}")),
    ]
    .prop_map(|text| must(JsonText::checked(text)))
}

/// Generates one of three keys, so that processes compete for the same slots.
fn key() -> impl Strategy<Value = SlotKey> {
    "[a-c]".prop_map(|text| must(SlotKey::new(&text)))
}

fn node() -> impl Strategy<Value = NodeId> {
    "[a-c]".prop_map(|text| must(NodeId::new(&text)))
}

pub(super) fn priority() -> impl Strategy<Value = Priority> {
    (-100..=100_i64).prop_map(|value| must(Priority::new(value)))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z][a-z0-9-]{0,11}", 1 => "[a-zäß漢🚢]([a-zäß漢🚢 ]{0,8}[a-zäß漢🚢])?"]
}

/// Generates arbitrary text, including control characters.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[ -~]{0,16}", 1 => any::<String>()]
}

/// Generates durations from zero to one hour, in whole milliseconds because records store milliseconds.
pub(super) fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), (0..3_600_000_u64).prop_map(Duration::from_millis)]
}

pub(super) fn moment() -> impl Strategy<Value = Timestamp> {
    (0..2_000_000_000_000_i64).prop_map(Timestamp)
}
