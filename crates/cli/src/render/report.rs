//! Formats a report about one process: as text that fits one screen, or as Markdown.

mod markdown;

use super::amount::bytes;
use super::detail::{fact_line, facts, heading, next_steps, step_lines};
use super::line::short;
use super::moment::RenderTime;
use super::queue::why_facts;
use crate::console::ConsoleStream;
use longhaul_view::clean_label;
use longhaul_wire::api::{ArtifactsState, ArtifactsView, ProcessView, WhyView};
use serde::Serialize;

/// Labels of the facts that a report contains, in their order.
const FACTS: &[&str] = &[
    "why",
    "error",
    "error at",
    "port",
    "result",
    "tests",
    "warning",
    "conditions",
    "as of",
    "ending",
    "late",
    "prompt",
    "command",
    "directory",
    "project",
    "session",
    "stage",
    "progress",
    "attempt",
    "again",
    "node",
    "started",
    "ended",
    "took",
    "exit",
    "uses",
    "used",
    "limits",
    "output",
];
/// Labels of the explanation of a wait or a failure whose facts are left out, because the facts about the process
/// already contain them.
const KNOWN_WHY_FACTS: &[&str] = &["error at", "next"];
/// Maximum number of artifacts that are named.
const MAX_ARTIFACTS: usize = 5;
/// Maximum number of lines of the first error that are shown as text.
const MAX_ERROR_LINES: usize = 12;
/// Maximum length of one line of output, in characters.
const MAX_LINE_LEN: usize = 300;

/// Content of a report about one process.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessReport {
    pub(crate) process: ProcessView,
    pub(crate) why: WhyView,
    pub(crate) artifacts: ArtifactsView,
    /// Last lines of the output, if the process has not completed.
    pub(crate) last_output: Option<String>,
    /// True if the manager can run only the failed tests.
    pub(crate) can_rerun: bool,
}

/// A command that the user may need next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ReportStep {
    pub(crate) command: String,
    pub(crate) what: &'static str,
}

impl ProcessReport {
    /// Formats the report as text.
    pub(crate) fn text(&self, face: ConsoleStream, unicode: bool, now: RenderTime) -> String {
        let mut text = heading(&self.process, face, unicode);
        text.extend(self.facts(now).iter().map(|(label, value)| fact_line(label, value)));
        let bar = if unicode { '│' } else { '|' };
        let quoted = |title: &str, lines: &[String]| {
            let lines = lines.iter().map(|line| format!("    {bar} {line}\n"));
            format!("  {title}\n{}", lines.collect::<String>())
        };
        let error = self.error_lines();
        if error.len() > 1 {
            text.push_str(&quoted("first error", &error));
        }
        let output = self.output_lines();
        if !output.is_empty() {
            text.push_str(&quoted("last output", &output));
        }
        text.push_str(&step_lines(&self.steps()));
        text
    }

    /// Returns the commands that the user may need next.
    pub(crate) fn next(&self) -> Vec<ReportStep> {
        self.steps().into_iter().map(|(command, what)| ReportStep { command, what }).collect()
    }

    fn steps(&self) -> Vec<(String, &'static str)> {
        let mut steps = next_steps(&self.process);
        if self.can_rerun {
            let id = short(&self.process.id);
            steps.push((format!("longhaul rerun-failed {id}"), "run only the failed tests"));
        }
        if !self.artifacts.files.is_empty() {
            steps.push((format!("longhaul artifacts {}", short(&self.process.id)), "list its artifacts"));
        }
        steps
    }

    fn facts(&self, now: RenderTime) -> Vec<(&'static str, String)> {
        let known = facts(&self.process, now);
        let named = |label: &&'static str| known.iter().find(|(known, _)| known == label).cloned();
        let mut facts: Vec<(&'static str, String)> = FACTS.iter().filter_map(named).collect();
        let mut is_wanted = true;
        for (label, value) in why_facts(&self.why, now) {
            // A fact without a label continues the previous fact.
            if !label.is_empty() {
                is_wanted =
                    !KNOWN_WHY_FACTS.contains(&label) && !facts.iter().any(|(known, _)| *known == label);
            }
            if is_wanted {
                facts.push((label, value));
            }
        }
        facts.extend(self.artifacts().map(|text| ("artifacts", text)));
        facts
    }

    fn artifacts(&self) -> Option<String> {
        let ArtifactsView { state, files, bytes: size, skipped, more_skipped, .. } = &self.artifacts;
        let mut text = match state {
            ArtifactsState::None => return None,
            ArtifactsState::Pending => return Some("are copied when the attempt ends".to_owned()),
            ArtifactsState::Missing => return Some("missing".to_owned()),
            ArtifactsState::Copied if files.is_empty() => "none matched".to_owned(),
            ArtifactsState::Copied => {
                let named: Vec<&str> =
                    files.iter().take(MAX_ARTIFACTS).map(|file| file.path.as_str()).collect();
                let more = files.len().saturating_sub(named.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let count =
                    if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
                format!("{count} ({}): {}{more}", bytes(*size), named.join(", "))
            }
        };
        let skipped = more_skipped.saturating_add(u64::try_from(skipped.len()).unwrap_or(u64::MAX));
        if skipped > 0 {
            text.push_str(&format!("; {skipped} skipped"));
        }
        Some(text)
    }

    /// Returns the lines of the first error in the output.
    fn error_lines(&self) -> Vec<String> {
        let error = self.process.first_error.as_ref();
        let Some(detail) = error.and_then(|error| error.detail.as_deref()) else { return Vec::new() };
        let mut lines = cut_lines(detail);
        if lines.len() > MAX_ERROR_LINES {
            // Show the last lines, because the last line of a trace names the error.
            let removed = lines.len().saturating_sub(MAX_ERROR_LINES);
            let from = MAX_ERROR_LINES / 2;
            lines.splice(from..from.saturating_add(removed), [format!("… {removed} lines …")]);
        }
        lines
    }

    fn output_lines(&self) -> Vec<String> {
        self.last_output.as_deref().map(cut_lines).unwrap_or_default()
    }
}

/// Splits a text into lines without control characters, and cuts long lines.
fn cut_lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = clean_label(line);
        if line.chars().count() > MAX_LINE_LEN {
            format!("{}…", line.chars().take(MAX_LINE_LEN).collect::<String>())
        } else {
            line.into_owned()
        }
    };
    text.lines().map(line).collect()
}
