//! Python tracebacks, including chained exceptions and exception groups.

use super::frame::{Frame, NearestFrame};
use super::{Fit, InnerError, Trace, TraceReport};
use crate::failure::finding::one_line;
use regex::Regex;
use std::sync::LazyLock;

const HEAD: &str = "Traceback (most recent call last):";
const GROUP_HEAD: &str = "Exception Group Traceback (most recent call last):";
/// Start of the line between an exception and the exception that it caused.
const CAUSED: &str = "The above exception was the direct cause of";
/// Start of the line between an exception and another exception that occurred in its handler.
const HANDLING: &str = "During handling of the above exception";
/// Maximum number of lines of a syntax error before the message.
const MAX_SYNTAX_LINES: u8 = 6;
/// Path fragments that identify files of Python itself and of installed packages.
const LIBRARIES: [&str; 4] = ["/lib/python", "/site-packages/", "/dist-packages/", "<frozen "];

static FRAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^  File "(?P<file>.+)", line (?P<line>[0-9]+)(?:, in .*)?$"#).ok());
static EXCEPTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z_][A-Za-z0-9_.]*(?::.*)?$").ok());

/// Part of a traceback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TracebackPart {
    /// In the frames, before an exception.
    Frames,
    /// After an exception, where a chained traceback may follow.
    Exception,
    /// After the line that announces a chained traceback.
    Announced,
}

/// A traceback, or a syntax error. For a syntax error, Python omits the first line of a traceback.
#[derive(Clone, Debug)]
pub(super) struct PythonTraceback {
    part: TracebackPart,
    is_group: bool,
    /// Number of lines within which the message of a syntax error must appear. `None` in a traceback.
    syntax_lines: Option<u8>,
    frames: NearestFrame,
    message: Option<String>,
    cause: Option<String>,
    /// First exception of an exception group, with its place.
    member: Option<(String, Option<Frame>)>,
}

impl PythonTraceback {
    /// Returns a reader for the traceback that starts with this line.
    pub(super) fn open(line: &str) -> Option<Self> {
        let (text, in_group) = without_margin(line);
        let is_group = in_group && text == GROUP_HEAD;
        let frame = frame(line);
        if !is_group && line != HEAD && frame.is_none() {
            return None;
        }
        let mut trace = Self {
            part: TracebackPart::Frames,
            is_group,
            syntax_lines: frame.is_some().then_some(MAX_SYNTAX_LINES),
            frames: NearestFrame::default(),
            message: None,
            cause: None,
            member: None,
        };
        if let Some(frame) = frame {
            trace.add(frame);
        }
        Some(trace)
    }

    fn add(&mut self, frame: Frame) {
        let is_library = LIBRARIES.iter().any(|part| frame.file.contains(part));
        self.frames.add_nearer(frame, is_library);
    }

    fn read_frames(&mut self, line: &str) -> Fit {
        if let Some(left) = &mut self.syntax_lines {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Fit::Outside;
            }
        }
        if line.starts_with(' ') {
            if let Some(frame) = frame(line) {
                self.add(frame);
            }
            return Fit::Part;
        }
        if !is_exception(line) || (self.syntax_lines.is_some() && !is_syntax_error(line)) {
            return Fit::Outside;
        }
        self.message = Some(one_line(line));
        self.part = TracebackPart::Exception;
        Fit::Part
    }

    fn read_after(&mut self, line: &str) -> Fit {
        if line.is_empty() {
            return Fit::Part;
        }
        if self.part == TracebackPart::Announced && line == HEAD {
            self.frames = NearestFrame::default();
            self.part = TracebackPart::Frames;
            return Fit::Part;
        }
        if self.part == TracebackPart::Exception && line.starts_with(CAUSED) {
            self.cause = self.message.clone();
            self.part = TracebackPart::Announced;
            return Fit::Part;
        }
        if self.part == TracebackPart::Exception && line.starts_with(HANDLING) {
            self.cause = None;
            self.part = TracebackPart::Announced;
            return Fit::Part;
        }
        Fit::Outside
    }

    fn read_group(&mut self, line: &str) -> Fit {
        let (text, in_group) = without_margin(line);
        if !in_group {
            return Fit::Outside;
        }
        if let Some(frame) = frame(text) {
            self.add(frame);
        } else if text == HEAD || text == GROUP_HEAD {
            self.frames = NearestFrame::default();
        } else if is_exception(text) {
            self.read_member(text);
        }
        Fit::Part
    }

    fn read_member(&mut self, text: &str) {
        let name = text.split(':').next().unwrap_or(text);
        if self.message.is_none() {
            self.message = Some(one_line(text));
        } else if self.member.is_none() && !name.ends_with("ExceptionGroup") {
            self.member = Some((one_line(text), self.frames.shown().cloned()));
        }
    }
}

impl Trace for PythonTraceback {
    fn read(&mut self, line: &str) -> Fit {
        if self.is_group {
            return self.read_group(line);
        }
        match self.part {
            TracebackPart::Frames => self.read_frames(line),
            TracebackPart::Exception | TracebackPart::Announced => self.read_after(line),
        }
    }

    fn is_certain(&self) -> bool {
        self.syntax_lines.is_none() || self.message.is_some()
    }

    fn report(&self) -> Option<TraceReport> {
        let message = self.message.clone()?;
        let (inner, frame) = match &self.member {
            Some((member, frame)) => {
                (Some(InnerError { relation: "the first is", message: member.clone() }), frame.clone())
            }
            None => (self.cause.clone().map(InnerError::cause), self.frames.shown().cloned()),
        };
        Some(TraceReport { rule: "python_traceback", kind: "exception", message, inner, frame })
    }
}

fn frame(line: &str) -> Option<Frame> {
    let groups = line.starts_with("  File \"").then(|| FRAME.as_ref()?.captures(line)).flatten()?;
    Frame::of(&groups)
}

fn is_exception(line: &str) -> bool {
    EXCEPTION.as_ref().is_some_and(|exception| exception.is_match(line))
}

fn is_syntax_error(line: &str) -> bool {
    ["SyntaxError", "IndentationError", "TabError"].iter().any(|name| line.starts_with(name))
}

/// Removes the margin of `|` and `+` from a line of an exception group. Returns the line, and true if it is indented
/// and had a margin.
fn without_margin(line: &str) -> (&str, bool) {
    let text = line.trim_start_matches(' ');
    match text.strip_prefix(['|', '+']) {
        Some(text) => (text.strip_prefix(' ').unwrap_or(text), text.len() < line.len() - 1),
        None => (line, false),
    }
}
