//! Status of a process, parsed from the manager's response.

use anstyle::{AnsiColor, Style};
use longhaul_wire::api::ProcessView;

/// Status of a process. It has extra variants for statuses that only later versions define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParsedStatus {
    Pending,
    Starting,
    Running,
    Paused,
    Stopping,
    Completed,
    Failed,
    Timeout,
    Cancelled,
    Interrupted,
    /// A status of a live process that this version of the program does not support.
    OtherLive,
    /// A status of an ended process that this version of the program does not support.
    OtherEnded,
}

impl ParsedStatus {
    /// Returns the status of a process. An unknown status counts as final if the process has an end time.
    pub(crate) fn of(process: &ProcessView) -> Self {
        match process.status.as_str() {
            "pending" => Self::Pending,
            "starting" => Self::Starting,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "stopping" => Self::Stopping,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "timeout" => Self::Timeout,
            "cancelled" => Self::Cancelled,
            "interrupted" => Self::Interrupted,
            _ if process.completed_at.is_some() => Self::OtherEnded,
            _ => Self::OtherLive,
        }
    }

    /// Returns true if the status is final.
    pub(crate) const fn is_ended(self) -> bool {
        match self {
            Self::Completed
            | Self::Failed
            | Self::Timeout
            | Self::Cancelled
            | Self::Interrupted
            | Self::OtherEnded => true,
            Self::Pending
            | Self::Starting
            | Self::Running
            | Self::Paused
            | Self::Stopping
            | Self::OtherLive => false,
        }
    }

    /// Returns true if the status shows that the process has been running or has ended.
    pub(crate) const fn has_started(self) -> bool {
        match self {
            Self::Pending | Self::Starting | Self::OtherLive => false,
            Self::Running
            | Self::Paused
            | Self::Stopping
            | Self::Completed
            | Self::Failed
            | Self::Timeout
            | Self::Cancelled
            | Self::Interrupted
            | Self::OtherEnded => true,
        }
    }

    /// Returns a symbol for the status. The symbol is ASCII if `unicode` is false.
    pub(crate) const fn glyph(self, unicode: bool) -> &'static str {
        match (self, unicode) {
            (Self::Pending, true) => "◌",
            (Self::Pending, false) => ".",
            (Self::Starting, true) => "◔",
            (Self::Starting, false) => "+",
            (Self::Running, true) => "●",
            (Self::Running, false) => "*",
            (Self::Paused, true) => "‖",
            (Self::Paused, false) => "=",
            (Self::Stopping, true) => "◍",
            (Self::Stopping, false) => "-",
            (Self::Completed, true) => "✓",
            (Self::Completed, false) => "v",
            (Self::Failed, true) => "✗",
            (Self::Failed, false) => "x",
            (Self::Timeout, true) => "⧖",
            (Self::Timeout, false) => "t",
            (Self::Cancelled, true) => "⊘",
            (Self::Cancelled, false) => "o",
            (Self::Interrupted | Self::OtherLive | Self::OtherEnded, _) => "?",
        }
    }

    /// Returns the color of the status. Returns `None` for statuses that only later versions define.
    pub(crate) const fn colour(self) -> Option<AnsiColor> {
        match self {
            Self::Pending | Self::Cancelled => Some(AnsiColor::BrightBlack),
            Self::Starting | Self::Stopping => Some(AnsiColor::Cyan),
            Self::Running => Some(AnsiColor::Blue),
            Self::Paused | Self::Timeout => Some(AnsiColor::Yellow),
            Self::Completed => Some(AnsiColor::Green),
            Self::Failed => Some(AnsiColor::Red),
            Self::Interrupted => Some(AnsiColor::Magenta),
            Self::OtherLive | Self::OtherEnded => None,
        }
    }

    /// Returns the color of the status as a text style.
    pub(crate) const fn style(self) -> Style {
        match self.colour() {
            Some(colour) => Style::new().fg_color(Some(anstyle::Color::Ansi(colour))),
            None => Style::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_word_of_a_later_version_lives_until_it_has_an_end() {
        let mut process = ProcessView { status: "hibernating".to_owned(), ..ProcessView::default() };
        assert!(!ParsedStatus::of(&process).is_ended());
        process.completed_at = Some("2026-11-21T00:00:00Z".to_owned());
        assert!(ParsedStatus::of(&process).is_ended());
    }

    #[test]
    fn signs_differ_in_both_sets() {
        let all = [
            ParsedStatus::Pending,
            ParsedStatus::Starting,
            ParsedStatus::Running,
            ParsedStatus::Paused,
            ParsedStatus::Stopping,
            ParsedStatus::Completed,
            ParsedStatus::Failed,
            ParsedStatus::Timeout,
            ParsedStatus::Cancelled,
            ParsedStatus::Interrupted,
        ];
        for unicode in [true, false] {
            let signs: std::collections::BTreeSet<_> = all.iter().map(|each| each.glyph(unicode)).collect();
            assert_eq!(signs.len(), all.len());
        }
        assert!(all.iter().all(|each| each.glyph(false).is_ascii()));
    }
}
