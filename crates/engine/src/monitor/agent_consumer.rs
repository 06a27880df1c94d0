//! Reads the output of an agent: its result, its tokens and its current step.

use super::output_consumer::{OutputConsumer, ReportPace};
use longhaul_domain::{
    AgentOutputFormat, AttemptNo, CommandSpec, JsonText, MAX_JSON_BYTES, Observation, ReportedOutcome, Stage,
    TokenCounts,
};
use longhaul_insight::agent_output::{AgentFacts, AgentFormat, AgentOutputReader};
use longhaul_ports::{OutputChunk, OutputSource};

/// Reports the facts about an agent's work that its standard output contains.
#[derive(Debug)]
pub(super) struct AgentConsumer {
    attempt: AttemptNo,
    format: AgentFormat,
    /// Reader of the output; `None` as soon as the output has ended.
    reader: Option<AgentOutputReader>,
    reported: LiveFacts,
}

/// The facts that are reported while the agent works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LiveFacts {
    step: Option<String>,
    session: Option<String>,
}

impl AgentConsumer {
    /// Creates a consumer for the output of a command. Returns `None` if its output contains no result.
    pub(super) fn of(command: &CommandSpec, attempt: AttemptNo) -> Option<Self> {
        let format = format_of(command)?;
        let reader = Some(AgentOutputReader::new(format));
        Some(Self { attempt, format, reader, reported: LiveFacts::default() })
    }

    /// Returns true if the output of the command needs an agent consumer.
    pub(super) fn is_needed(command: &CommandSpec) -> bool {
        format_of(command).is_some()
    }

    fn observed(&self, outcome: ReportedOutcome, stage: Option<Stage>) -> Observation {
        Observation::OutcomeRead { attempt: self.attempt, outcome, stage }
    }
}

impl OutputConsumer for AgentConsumer {
    fn stream(&self) -> Option<OutputSource> {
        Some(OutputSource::Stdout)
    }

    fn pace(&self) -> ReportPace {
        // In these formats, the end of the output contains all facts.
        let may_skip = matches!(self.format, AgentFormat::Plain | AgentFormat::Claude);
        ReportPace::Latest { may_skip }
    }

    fn push(&mut self, chunk: &OutputChunk) {
        if let (OutputSource::Stdout, Some(reader)) = (chunk.source, &mut self.reader) {
            reader.push(&chunk.bytes);
        }
    }

    fn interrupt(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.interrupt();
        }
    }

    fn take_reports(&mut self) -> Vec<Observation> {
        let Some(facts) = self.reader.as_ref().map(AgentOutputReader::facts) else { return Vec::new() };
        let now = LiveFacts { step: facts.step.clone(), session: facts.session.clone() };
        if now == self.reported {
            return Vec::new();
        }
        let stage = now.step.as_deref().and_then(|step| Stage::new(step).ok());
        let outcome = ReportedOutcome { agent_session: now.session.clone(), ..ReportedOutcome::default() };
        self.reported = now;
        vec![self.observed(outcome, stage)]
    }

    fn finish(&mut self, is_complete: bool) -> Vec<Observation> {
        let Some(reader) = self.reader.take() else { return Vec::new() };
        let facts = reader.finish();
        if facts.ignored_lines > 0 {
            let count = facts.ignored_lines;
            tracing::debug!(count, format = ?self.format, "ignored lines that are not in the format of the agent");
        }
        let outcome = outcome_of(&facts, is_complete);
        // The last step may not have been reported yet.
        let step = facts.step.filter(|step| self.reported.step.as_ref() != Some(step));
        let stage = step.and_then(|step| Stage::new(&step).ok());
        if outcome.is_empty() && stage.is_none() {
            return Vec::new();
        }
        vec![self.observed(outcome, stage)]
    }
}

/// Converts the facts at the end of an output. Without the end of the output, the last message may not be the result,
/// so the result is left out.
fn outcome_of(facts: &AgentFacts, is_complete: bool) -> ReportedOutcome {
    let result = facts.message_json(MAX_JSON_BYTES).and_then(|text| JsonText::checked(text).ok());
    ReportedOutcome {
        result: result.filter(|_| is_complete),
        error: facts.error.clone(),
        tokens: facts.tokens.map(|tokens| TokenCounts {
            input: tokens.input,
            output: tokens.output,
            cached: tokens.cached,
        }),
        agent_session: facts.session.clone(),
    }
}

fn format_of(command: &CommandSpec) -> Option<AgentFormat> {
    match command.runner.as_ref()?.output {
        AgentOutputFormat::Unread => None,
        AgentOutputFormat::Plain => Some(AgentFormat::Plain),
        AgentOutputFormat::Claude => Some(AgentFormat::Claude),
        AgentOutputFormat::Codex => Some(AgentFormat::Codex),
        AgentOutputFormat::Gemini => Some(AgentFormat::Gemini),
        AgentOutputFormat::Opencode => Some(AgentFormat::Opencode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{RunnerChoice, Timestamp};

    fn consumer(output: AgentOutputFormat) -> Option<AgentConsumer> {
        let runner = Some(RunnerChoice { name: "agent".to_owned(), output });
        AgentConsumer::of(&CommandSpec { runner, ..CommandSpec::of("agent", &[], "/") }, AttemptNo(1))
    }

    fn push(consumer: &mut AgentConsumer, source: OutputSource, text: &str) {
        let bytes = text.as_bytes().to_vec();
        consumer.push(&OutputChunk { offset: 0, source, at: Timestamp(0), bytes });
    }

    fn outcomes(observations: Vec<Observation>) -> Vec<(ReportedOutcome, Option<String>)> {
        let outcome = |observation: Observation| {
            let text = format!("{observation:?}");
            let Observation::OutcomeRead { outcome, stage, .. } = observation else { panic!("{text}") };
            (outcome, stage.map(|stage| stage.to_string()))
        };
        observations.into_iter().map(outcome).collect()
    }

    #[test]
    fn step_and_session_are_reported_when_they_change_and_the_result_at_the_end() {
        let mut consumer = consumer(AgentOutputFormat::Claude).unwrap();
        let line = r#"{"type":"assistant","session_id":"s","message":{"content":[{"type":"tool_use","name":"Bash"}]}}"#;
        push(&mut consumer, OutputSource::Stdout, &format!("{line}\n"));
        push(&mut consumer, OutputSource::Stderr, "{\"type\":\"result\",\"result\":\"forged\"}\n");
        let session = Some("s".to_owned());
        let live = ReportedOutcome { agent_session: session.clone(), ..ReportedOutcome::default() };
        assert_eq!(outcomes(consumer.take_reports()), [(live, Some("Bash".to_owned()))]);
        assert_eq!(consumer.take_reports(), []);
        push(&mut consumer, OutputSource::Stdout, "{\"type\":\"result\",\"result\":\"d\\u00fcne\"}");
        let result = JsonText::checked("\"düne\"".to_owned()).ok();
        let done = ReportedOutcome { result, agent_session: session, ..ReportedOutcome::default() };
        assert_eq!(outcomes(consumer.finish(true)), [(done, Some("done".to_owned()))]);
        assert_eq!(consumer.finish(true), []);
    }

    #[test]
    fn message_is_no_result_if_the_end_of_the_output_is_missing() {
        let mut consumer = consumer(AgentOutputFormat::Plain).unwrap();
        push(&mut consumer, OutputSource::Stdout, "half of it");
        assert_eq!(consumer.finish(false), []);
    }

    #[test]
    fn command_that_reports_itself_has_no_consumer() {
        assert!(consumer(AgentOutputFormat::Unread).is_none());
        assert!(AgentConsumer::of(&CommandSpec::of("make", &[], "/"), AttemptNo(1)).is_none());
    }
}
