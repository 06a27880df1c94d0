use super::{some, span};
use longhaul_domain::*;
use proptest::prelude::*;

pub(super) fn command() -> BoxedStrategy<CommandSpec> {
    let environment =
        (any::<Option<String>>(), any::<Vec<(String, String)>>(), any::<Vec<String>>(), any::<bool>())
            .prop_map(|(captured, declared, removed, bare)| EnvironmentSpec {
                captured: captured.map(EnvironmentHash),
                declared,
                removed,
                bare,
            });
    let stop = (span(), any::<u8>(), some(span())).prop_map(|(grace, signal, interrupt_first)| StopPolicy {
        grace,
        signal,
        interrupt_first,
    });
    let limits =
        any::<[Option<u64>; 5]>().prop_map(|[cpu, memory, files, processes, bytes]| ResourceLimits {
            cpu_seconds: cpu,
            memory_bytes: memory,
            open_files: files,
            processes,
            file_bytes: bytes,
        });
    (
        (any::<String>(), any::<Vec<String>>(), any::<String>(), environment),
        (any::<Option<String>>(), some(span()), stop, any::<bool>(), any::<(u64, u64)>(), limits),
        (
            any::<bool>(),
            some(ready_when()),
            prop::collection::vec(watch_pattern(), 0..3),
            some(runner()),
            tests(),
            prop::collection::vec(artifact_pattern(), 0..3),
            progress(),
        ),
    )
        .prop_map(
            |(
                (program, args, directory, environment),
                (stdin, timeout, stop, keep, (head, tail), limits),
                (pipe, ready_when, watch, runner, tests, artifacts, progress),
            )| CommandSpec {
                program,
                args,
                directory,
                environment,
                stdin: stdin.map_or(if pipe { Stdin::Pipe } else { Stdin::Null }, Stdin::File),
                timeout,
                stop,
                leftovers: if keep { Leftovers::Keep } else { Leftovers::Stop },
                output: OutputBound { head, tail },
                limits,
                ready_when,
                watch,
                artifacts,
                runner,
                tests,
                progress,
            },
        )
        .boxed()
}

fn tests() -> BoxedStrategy<TestReporting> {
    prop_oneof![
        Just(TestReporting::Detect),
        Just(TestReporting::Off),
        Just(TestReporting::Auto),
        any::<String>().prop_map(TestReporting::Junit),
    ]
    .boxed()
}

fn progress() -> impl Strategy<Value = ProgressDetection> {
    prop_oneof![
        Just(ProgressDetection::Off),
        any::<String>().prop_map(|text| ProgressDetection::named(&text))
    ]
}

fn ready_when() -> BoxedStrategy<ReadyWhen> {
    prop_oneof![
        any::<u16>().prop_map(ReadyWhen::Port),
        any::<String>().prop_map(|url| ReadyWhen::Http { url }),
        any::<String>().prop_map(|pattern| ReadyWhen::Log { pattern }),
        any::<(String, Vec<String>)>().prop_map(|(program, args)| ReadyWhen::Command { program, args }),
    ]
    .boxed()
}

fn watch_pattern() -> impl Strategy<Value = WatchPattern> {
    let source = prop_oneof![Just(WatchSource::Both), Just(WatchSource::Stdout), Just(WatchSource::Stderr)];
    (any::<String>(), any::<String>(), source).prop_map(|(name, pattern, source)| WatchPattern {
        name,
        pattern,
        source,
    })
}

fn artifact_pattern() -> impl Strategy<Value = ArtifactPattern> {
    prop::sample::select(vec!["a.xml", "**/*.log", "out/", "[!a-c]?.txt", "."])
        .prop_map(|text| ArtifactPattern::new(text).unwrap())
}

fn runner() -> BoxedStrategy<RunnerChoice> {
    (any::<String>(), prop::sample::select(AgentOutputFormat::ALL.to_vec()))
        .prop_map(|(name, output)| RunnerChoice { name, output })
        .boxed()
}
