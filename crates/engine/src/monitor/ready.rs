//! Detects when a command is ready.

use super::consumer_set::ConsumerSet;
use super::follower::WatchStart;
use super::lines::LineFeed;
use super::output_consumer::{OutputConsumer, ReportPace};
use super::output_reading::read_output;
use super::pattern::compile;
use crate::engine::EngineShared;
use longhaul_domain::{AwakeTime, CommandSpec, Condition, Deadline, Observation, ReadyWhen, Spec};
use longhaul_ports::{AttemptKey, OutputChunk, OutputSource, ProbeCommand};
use regex::Regex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Times of the first readiness probes after the start, in milliseconds.
const FIRST: [u64; 4] = [50, 100, 200, 400];
/// Delay before each later probe, counted from the previous answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Time limit of an HTTP probe.
const ANSWER: Duration = Duration::from_secs(2);
/// Time limit of a probe command.
const END: Duration = Duration::from_secs(5);

/// Repeats the readiness probe until the command is ready, and then reports the condition.
pub(super) async fn ask(core: Arc<EngineShared>, key: AttemptKey, spec: Arc<Spec>) {
    let Some((command, ready_when)) =
        spec.command().and_then(|command| Some((command, command.ready_when.as_ref()?)))
    else {
        return;
    };
    if let ReadyWhen::Log { pattern } = ready_when {
        if !said(&core, key, pattern).await {
            return;
        }
    } else {
        asked_in_turn(&core, key, command, &spec, ready_when).await;
    }
    let (attempt, at) = (key.attempt, core.parts.clock.now());
    core.lanes.seen(
        key.id,
        Observation::ConditionObserved { attempt, condition: Condition::Ready, holds: true, at },
    );
}

/// Reads the output as it is written until a line matches. Returns false if no match is possible, because of the output
/// or the pattern.
async fn said(core: &EngineShared, key: AttemptKey, pattern: &str) -> bool {
    let expression = match compile(pattern) {
        Ok(expression) => expression,
        Err(why) => {
            tracing::warn!(id = %key.id, %why, "could not check the readiness of a process: its output or \
                its pattern makes a match impossible");
            return false;
        }
    };
    // Nothing is ever sent on this channel, because this task is aborted when the attempt ends.
    let (_over, told) = watch::channel(None);
    let search = ReadySearch { expression, feed: LineFeed::default(), is_ready: false };
    let mut consumers = ConsumerSet::single(search);
    read_output(core, key, &mut consumers, WatchStart::Here, told, drop).await;
    true
}

/// Searches the output for a line that shows that the command is ready.
#[derive(Debug)]
struct ReadySearch {
    expression: Regex,
    feed: LineFeed,
    is_ready: bool,
}

impl OutputConsumer for ReadySearch {
    fn stream(&self) -> Option<OutputSource> {
        None
    }

    fn pace(&self) -> ReportPace {
        ReportPace::Immediate
    }

    fn push(&mut self, chunk: &OutputChunk) {
        let Self { expression, feed, is_ready } = self;
        feed.take(chunk, |line| *is_ready = *is_ready || expression.is_match(&line.text()));
    }

    fn interrupt(&mut self) {
        self.feed.interrupt();
    }

    fn quiet(&mut self) {
        let Self { expression, feed, is_ready } = self;
        feed.show_unfinished(|line| *is_ready = *is_ready || expression.is_match(&line.text()));
    }

    fn take_reports(&mut self) -> Vec<Observation> {
        Vec::new()
    }

    fn is_done(&self) -> bool {
        self.is_ready
    }
}

async fn asked_in_turn(
    core: &EngineShared,
    key: AttemptKey,
    command: &CommandSpec,
    spec: &Spec,
    ready_when: &ReadyWhen,
) {
    let clock = &core.parts.clock;
    let begin = clock.awake();
    let mut first = FIRST.into_iter().map(|millis| begin.plus(Duration::from_millis(millis)));
    loop {
        let at: AwakeTime = first.next().unwrap_or_else(|| clock.awake().plus(PROBE_INTERVAL));
        clock.sleep_until(Deadline::Awake(at)).await;
        if is_ready(core, key, command, spec, ready_when).await {
            return;
        }
    }
}

async fn is_ready(
    core: &EngineShared,
    key: AttemptKey,
    command: &CommandSpec,
    spec: &Spec,
    ready_when: &ReadyWhen,
) -> bool {
    let prober = &core.parts.prober;
    match ready_when {
        ReadyWhen::Port(port) => match core.parts.spawner.inspect(key).await {
            Ok(look) => look.listening.iter().any(|listening| listening.port == *port),
            Err(error) => {
                tracing::debug!(id = %key.id, %error, "could not find out on which ports a process listens");
                false
            }
        },
        ReadyWhen::Http { url } => prober.answers(url, ANSWER).await,
        ReadyWhen::Command { program, args } => {
            match core.environment_of(command, spec.session.as_ref()).await {
                Ok(environment) => {
                    let (program, args) = (program.clone(), args.clone());
                    let directory = command.directory.clone();
                    prober.succeeds(ProbeCommand { program, args, directory, environment }, END).await
                }
                Err(error) => {
                    tracing::warn!(id = %key.id, %error, "could not check the readiness of a process now; retrying");
                    false
                }
            }
        }
        // The caller handles this check by reading the output.
        ReadyWhen::Log { .. } => false,
    }
}
