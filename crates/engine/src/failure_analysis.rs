//! The search for the first error in the output of a failed command.

use crate::engine::EngineShared;
use longhaul_domain::{Deadline, ExitStatus, FirstError, Observation, PortHolder, ProcessId};
use longhaul_insight::failure::{Analyzer, Finding, PORT_IN_USE, RuleSet, Stream, named_port, primary};
use longhaul_ports::{AttemptKey, OutputRead, OutputSource};
use std::time::Duration;

/// Number of bytes that are searched at the start and at the end of the output. In a longer output, an error in the
/// middle is not found.
const SEARCHED_LEN: u64 = 8 * 1024 * 1024;
/// Number of bytes after the start of the end that the search of the start also reads, for the line that crosses it.
const OVERLAP_LEN: u64 = 64 * 1024;
/// Number of bytes in one read.
const PAGE_LEN: u32 = 256 * 1024;
/// Maximum time by which the search delays the end of an attempt.
const SEARCH_TIMEOUT: Duration = Duration::from_millis(250);

/// Result of a search for the first error.
#[derive(Debug, Default)]
struct ErrorSearch {
    error: Option<FirstError>,
    /// True if the whole output was searched.
    is_complete: bool,
}

impl EngineShared {
    /// If the observation is the exit of a command that failed by itself, adds the first error in the output to the
    /// exit. Returns other observations unchanged.
    pub(crate) async fn with_first_error(&self, id: ProcessId, mut observation: Observation) -> Observation {
        if is_failure(&observation)
            && let Observation::Exited { attempt, exit } = &mut observation
        {
            let key = AttemptKey { id, attempt: *attempt };
            let mut search = self.first_error(key).await;
            if let Some(error) = &mut search.error {
                error.port_holder = self.port_holder(error).await;
            }
            exit.first_error = search.error.map(Box::new);
            exit.circumstances.search_incomplete = !search.is_complete;
            if !search.is_complete {
                tracing::info!(%id, "the output of a failed command was not searched completely for its first error");
            }
        }
        observation
    }

    /// Returns the process that listens on the port of an error, if the error says that this port is in use.
    async fn port_holder(&self, error: &FirstError) -> Option<PortHolder> {
        if error.kind != PORT_IN_USE {
            return None;
        }
        let named = named_port(&error.message).or_else(|| named_port(error.detail.as_deref()?))?;
        let clock = &self.parts.clock;
        tokio::select! {
            biased;
            holder = self.parts.spawner.port_holder(named.port, &named.addresses) => holder,
            () = clock.sleep_until(Deadline::Awake(clock.awake().plus(SEARCH_TIMEOUT))) => None,
        }
    }

    /// Returns the error that explains the failure best. The end of the output is searched first, because most commands
    /// end with their error. A search that times out uses the findings so far.
    async fn first_error(&self, key: AttemptKey) -> ErrorSearch {
        let Ok(size) = self.parts.output.size(key).await else { return ErrorSearch::default() };
        let tail_start = size.end.saturating_sub(SEARCHED_LEN);
        let head_end = SEARCHED_LEN.min(tail_start.saturating_add(OVERLAP_LEN));
        let clock = &self.parts.clock;
        let until = Deadline::Awake(clock.awake().plus(SEARCH_TIMEOUT));
        let mut findings: Vec<Finding> = Vec::new();
        // The middle of a longer output is not searched.
        let mut is_all_searched = tail_start <= SEARCHED_LEN;
        for (from, to) in [(tail_start, size.end), (0, head_end)] {
            let mut analyzer =
                Analyzer::new(self.settings.failure_rules.clone().unwrap_or_else(RuleSet::builtin));
            let is_complete = tokio::select! {
                biased;
                read = self.read_output_part(key, from, to, &mut analyzer) => read,
                () = clock.sleep_until(until) => false,
            };
            is_all_searched &= is_complete;
            if to < size.end {
                analyzer.interrupt();
            }
            let earlier = analyzer.finish();
            findings.retain(|finding| earlier.iter().all(|other| other.offset != finding.offset));
            findings.splice(0..0, earlier);
            if !is_complete || tail_start == 0 {
                break;
            }
        }
        ErrorSearch { error: primary(&findings).map(first_error_of), is_complete: is_all_searched }
    }

    /// Reads a part of the output into the analyzer. Returns false if the output cannot be read.
    async fn read_output_part(&self, key: AttemptKey, from: u64, to: u64, analyzer: &mut Analyzer) -> bool {
        let mut next = from;
        while next < to {
            let wanted = OutputRead { from: next, limit: PAGE_LEN, only: None };
            let page = match self.parts.output.read(key, wanted).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::debug!(id = %key.id, %error, "could not read the output of a failed command");
                    return false;
                }
            };
            for chunk in &page.chunks {
                analyzer.push(stream_of(chunk.source), chunk.offset, &chunk.bytes);
            }
            if page.next <= next {
                break;
            }
            next = page.next;
            // Parsing is pure computation: without a yield, the time limit would not be checked.
            tokio::task::yield_now().await;
        }
        true
    }
}

/// Returns true if an observation is the exit of a command that failed without having been stopped.
pub(crate) fn is_failure(observation: &Observation) -> bool {
    matches!(
        observation,
        Observation::Exited { exit, .. } if exit.stopped.is_none() && exit.status != ExitStatus::Code(0)
    )
}

/// Converts an output source to the stream type of the parsers.
pub(crate) const fn stream_of(source: OutputSource) -> Stream {
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
        has_place: true,
        on_stdout: finding.stream == Stream::Stdout,
        offset: finding.offset,
        detail: finding.detail.clone(),
        port_holder: None,
    }
}
