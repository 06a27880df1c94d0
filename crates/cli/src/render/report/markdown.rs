//! Formats a report as Markdown. All text that a command or another program wrote is formatted as code, so that it
//! cannot change the layout, mention users or load images.

use super::{ProcessReport, RenderTime};
use crate::render::line::{ended_line, title, waiting_line};
use crate::status::ParsedStatus;
use longhaul_view::clean_label;

/// Maximum length of one value in the table, in characters.
const MAX_VALUE_LEN: usize = 300;
/// Maximum length of the report in bytes. Comments on common forges have at most 65,536 characters.
const MAX_LEN: usize = 60_000;

impl ProcessReport {
    /// Formats the report as Markdown, with collapsed details.
    pub(crate) fn markdown(&self, now: RenderTime) -> String {
        let process = &self.process;
        let standing = ParsedStatus::of(process);
        let mark = match standing {
            ParsedStatus::Completed => "✅",
            ParsedStatus::Failed | ParsedStatus::Timeout | ParsedStatus::Interrupted => "❌",
            ParsedStatus::Cancelled | ParsedStatus::OtherEnded => "⚪",
            ParsedStatus::Pending
            | ParsedStatus::Starting
            | ParsedStatus::Running
            | ParsedStatus::Paused
            | ParsedStatus::Stopping
            | ParsedStatus::OtherLive => "⏳",
        };
        let name = title(process).unwrap_or(&process.id);
        let summary =
            if standing.is_ended() { ended_line(process, true) } else { waiting_line(process, true) };
        let mut text = format!("### {mark} {}\n\n{}\n\n| | |\n| --- | --- |\n", code(name), code(&summary));
        for (label, value) in self.facts(now) {
            text.push_str(&format!("| {label} | {} |\n", cell(&value)));
        }
        for (title, lines) in [("First error", self.error_lines()), ("Last output", self.output_lines())] {
            if !lines.is_empty() {
                add_details(&mut text, title, &lines.join("\n"));
            }
        }
        let steps: Vec<String> =
            self.steps().iter().map(|(command, what)| format!("{command:<40} # {what}")).collect();
        if !steps.is_empty() {
            add_details(&mut text, "Next", &steps.join("\n"));
        }
        text
    }
}

/// Adds a collapsed block, unless the report would become too long.
fn add_details(text: &mut String, title: &str, content: &str) {
    let block = format!("\n<details><summary>{title}</summary>\n\n{}\n</details>\n", fenced(content));
    if text.len().saturating_add(block.len()) <= MAX_LEN {
        text.push_str(&block);
    }
}

/// Formats a text as a code block, with a fence that the text does not contain.
fn fenced(content: &str) -> String {
    let fence = "`".repeat(longest_run(content).saturating_add(1).max(3));
    format!("{fence}text\n{content}\n{fence}\n")
}

/// Formats a value as code in a cell of a table. Escapes vertical bars, because a vertical bar ends a cell even within
/// code.
fn cell(value: &str) -> String {
    code(value).replace('|', "\\|")
}

/// Formats a text as inline code.
fn code(value: &str) -> String {
    let value = clean_label(value);
    let mut value: String = value.chars().take(MAX_VALUE_LEN).collect();
    if value.trim().is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&value).saturating_add(1));
    // Add a space at both ends, so that a backtick at the start or end of the value is not read as part of the fence.
    if value.starts_with('`') || value.ends_with('`') || (value.starts_with(' ') && value.ends_with(' ')) {
        value = format!(" {value} ");
    }
    format!("{fence}{value}{fence}")
}

/// Returns the length of the longest sequence of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or_default()
}
