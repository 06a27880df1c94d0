//! The search for the first error in the output of a failed command.

use crate::engine::EngineShared;
use longhaul_domain::{Deadline, ExitStatus, FirstError, Observation, ProcessId};
use longhaul_insight::failure::{Analyzer, Finding, RuleSet, Stream, primary};
use longhaul_ports::{AttemptKey, OutputError, OutputRead, OutputSource};
use std::time::Duration;

/// Number of bytes that are searched at the start and at the end of the output. In a longer output, an error in the
/// middle is not found.
const SEARCHED_LEN: u64 = 8 * 1024 * 1024;
/// Number of bytes in one read.
const PAGE_LEN: u32 = 256 * 1024;
/// Maximum time by which the search delays the end of an attempt.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(250);

impl EngineShared {
    /// If the observation is the exit of a command that failed by itself, adds the first error in the output to the
    /// exit. Returns other observations unchanged.
    pub(crate) async fn with_first_error(&self, id: ProcessId, mut observation: Observation) -> Observation {
        if is_failure(&observation)
            && let Observation::Exited { attempt, exit } = &mut observation
        {
            let key = AttemptKey { id, attempt: *attempt };
            exit.first_error = self.first_error(key).await.map(Box::new);
        }
        observation
    }

    /// Returns the error that explains the failure best. If the time limit passes, the search uses the output that was
    /// read until then.
    async fn first_error(&self, key: AttemptKey) -> Option<FirstError> {
        let mut analyzer =
            Analyzer::new(self.settings.failure_rules.clone().unwrap_or_else(RuleSet::builtin));
        let clock = &self.parts.clock;
        let until = Deadline::Awake(clock.awake().plus(SEARCH_TIMEOUT));
        tokio::select! {
            biased;
            read = self.read_output_ends(key, &mut analyzer) => {
                if let Err(error) = read {
                    tracing::debug!(id = %key.id, %error, "could not read the output of a failed command");
                }
            }
            () = clock.sleep_until(until) => {
                tracing::debug!(id = %key.id, "the search for the first error timed out");
            }
        }
        primary(&analyzer.finish()).map(first_error_of)
    }

    /// Reads the start and the end of the output into the analyzer.
    async fn read_output_ends(&self, key: AttemptKey, analyzer: &mut Analyzer) -> Result<(), OutputError> {
        let mut from = 0;
        loop {
            let wanted = OutputRead { from, limit: PAGE_LEN, only: None };
            let page = self.parts.output.read(key, wanted).await?;
            for chunk in &page.chunks {
                analyzer.push(stream_of(chunk.source), chunk.offset, &chunk.bytes);
            }
            if page.next <= from {
                return Ok(());
            }
            let tail_start = page.end.saturating_sub(SEARCHED_LEN);
            from = if page.next < SEARCHED_LEN { page.next } else { page.next.max(tail_start) };
        }
    }
}

/// Returns true if an observation is the exit of a command that failed without having been stopped.
pub(crate) fn is_failure(observation: &Observation) -> bool {
    matches!(
        observation,
        Observation::Exited { exit, .. } if exit.stopped.is_none() && exit.status != ExitStatus::Code(0)
    )
}

const fn stream_of(source: OutputSource) -> Stream {
    match source {
        OutputSource::Stdout => Stream::Stdout,
        OutputSource::Stderr => Stream::Stderr,
    }
}

fn first_error_of(finding: &Finding) -> FirstError {
    FirstError {
        kind: finding.kind.clone(),
        message: finding.message.clone(),
        file: finding.file.clone(),
        line: finding.line,
        column: finding.column,
        on_stdout: finding.stream == Stream::Stdout,
        offset: finding.offset,
        detail: finding.detail.clone(),
    }
}
