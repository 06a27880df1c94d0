//! Stack traces of JavaScript and of the Java virtual machine: an error, followed by lines that start with `at`.

use super::frame::{Frame, NearestFrame};
use super::{Fit, InnerError, Trace, TraceReport};
use crate::failure::finding::one_line;
use regex::Regex;
use std::sync::LazyLock;

/// Maximum number of lines between the source position and the error.
const MAX_PLACE_LINES: u16 = 12;
/// Maximum number of lines between an error and its first frame.
const MAX_HEAD_LINES: u16 = 25;
/// Maximum number of lines for the properties of an error.
const MAX_PROPERTY_LINES: u16 = 400;
/// Prefixes of the packages that belong to Java itself.
const JAVA_PACKAGES: [&str; 6] = ["java.", "javax.", "jdk.", "sun.", "com.sun.", "kotlin."];

static PLACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:file://)?(?P<file>(?:/|[A-Za-z]:[\\/]|\.{1,2}/)[^:]*\.[cm]?[jt]sx?):(?P<line>[0-9]+)$")
        .ok()
});
static THREAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^Exception in thread "[^"]*" (?P<message>[A-Za-z_][A-Za-z0-9_.$]*(?::.*)?)$"#).ok()
});
static ERROR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\(node:[0-9]+\) [A-Za-z]+: |Uncaught |Unhandled exception\. )?(?P<message>[A-Za-z0-9_.$]*(?:Error|Exception|Throwable|Rejection)(?: \[[A-Z0-9_]+\])?(?::.*)?)$",
    )
    .ok()
});
static SCRIPT_FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^at (?:.* \()?(?:file://)?(?P<file>[^()\s][^()]*?):(?P<line>[0-9]+):(?P<column>[0-9]+)\)?(?: \{)?$",
    )
    .ok()
});
static JAVA_FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^at (?P<method>[^(]+)\((?P<file>[A-Za-z0-9_$-]+\.[a-z]+):(?P<line>[0-9]+)\)$").ok()
});

/// Part of a stack trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StackPart {
    /// After the source position, before the error.
    Place,
    /// After the `^` that marks the column in the source.
    Marked,
    /// After the error, before the first frame.
    Error,
    /// Frames.
    Frames,
    /// In the properties of the error, which are enclosed in braces.
    Properties,
}

/// An error with its stack trace.
#[derive(Clone, Debug)]
pub(super) struct StackTrace {
    part: StackPart,
    /// Number of lines read in the current part.
    lines: u16,
    /// True after a line has proved that this is a stack trace.
    certain: bool,
    message: String,
    /// Source position that Node.js prints before the error.
    place: Option<Frame>,
    frames: NearestFrame,
    cause: Option<String>,
}

impl StackTrace {
    /// Returns a reader for the stack trace that may start with this line.
    pub(super) fn open(line: &str) -> Option<Self> {
        let place = PLACE.as_ref().and_then(|place| Frame::of(&place.captures(line)?));
        let message = error_in(line);
        if place.is_none() && message.is_none() {
            return None;
        }
        Some(Self {
            part: if message.is_some() { StackPart::Error } else { StackPart::Place },
            lines: 0,
            certain: false,
            message: message.unwrap_or_default(),
            place,
            frames: NearestFrame::default(),
            cause: None,
        })
    }

    fn enter(&mut self, part: StackPart) -> Fit {
        self.part = part;
        self.lines = 0;
        Fit::Part
    }

    fn fit_within(&mut self, limit: u16) -> Fit {
        self.lines = self.lines.saturating_add(1);
        if self.lines > limit { Fit::Outside } else { Fit::Part }
    }

    fn read_place(&mut self, line: &str) -> Fit {
        if let Some(message) = error_in(line) {
            self.message = message;
            return self.enter(StackPart::Error);
        }
        let mark = line.trim();
        if self.part == StackPart::Marked && !mark.is_empty() {
            self.message = one_line(line);
            return self.enter(StackPart::Error);
        }
        if !mark.is_empty() && mark.bytes().all(|byte| byte == b'^') {
            self.part = StackPart::Marked;
        }
        self.fit_within(MAX_PLACE_LINES)
    }

    fn read_error(&mut self, line: &str) -> Fit {
        if is_frame(line) {
            self.certain = true;
            self.part = StackPart::Frames;
            return self.read_frame(line);
        }
        if self.place.is_some() && line.starts_with("(Use `node --trace-uncaught") {
            self.certain = true;
            return Fit::Last;
        }
        self.fit_within(MAX_HEAD_LINES)
    }

    fn read_frames(&mut self, line: &str) -> Fit {
        let text = line.trim_start();
        if is_frame(line) {
            return self.read_frame(line);
        }
        if let Some(cause) = text.strip_prefix("Caused by: ") {
            self.start_cause(cause);
            return Fit::Part;
        }
        let is_other =
            ["... ", "Suppressed: "].iter().any(|start| text.starts_with(start)) && text.len() < line.len();
        if is_other || line.starts_with("Emitted 'error' event") { Fit::Part } else { Fit::Outside }
    }

    fn read_frame(&mut self, line: &str) -> Fit {
        self.add_frame(line.trim());
        if line.ends_with(" {") { self.enter(StackPart::Properties) } else { Fit::Part }
    }

    fn read_properties(&mut self, line: &str) -> Fit {
        if line == "}" {
            return Fit::Last;
        }
        let text = line.trim_start();
        if let Some(cause) = text.strip_prefix("[cause]: ") {
            self.start_cause(cause);
        } else if text.starts_with("at ") && self.cause.is_some() {
            self.add_frame(text);
        }
        self.fit_within(MAX_PROPERTY_LINES)
    }

    /// Reads the first line of a cause. The place of the cause is preferred to the place of the error that it caused.
    fn start_cause(&mut self, cause: &str) {
        self.cause = Some(one_line(cause.trim_end_matches(" {")));
        self.frames.start_cause();
    }

    fn add_frame(&mut self, text: &str) {
        if let Some(groups) = JAVA_FRAME.as_ref().and_then(|frame| frame.captures(text)) {
            let method = groups.name("method").map_or("", |method| method.as_str());
            let method = method.rsplit_once('/').map_or(method, |(_, method)| method);
            let is_library = JAVA_PACKAGES.iter().any(|package| method.starts_with(package));
            if let Some(frame) = Frame::of(&groups) {
                self.frames.add_farther(frame, is_library);
            }
        } else if let Some(groups) = SCRIPT_FRAME.as_ref().and_then(|frame| frame.captures(text))
            && let Some(frame) = Frame::of(&groups)
        {
            // The source files of Node.js itself are not on the machine, so their frames are not shown.
            if !frame.file.starts_with("node:") {
                let is_library = frame.file.contains("/node_modules/");
                self.frames.add_farther(frame, is_library);
            }
        }
    }
}

impl Trace for StackTrace {
    fn read(&mut self, line: &str) -> Fit {
        match self.part {
            StackPart::Place | StackPart::Marked => self.read_place(line),
            StackPart::Error => self.read_error(line),
            StackPart::Frames => self.read_frames(line),
            StackPart::Properties => self.read_properties(line),
        }
    }

    fn is_certain(&self) -> bool {
        self.certain
    }

    fn is_replaceable(&self) -> bool {
        self.place.is_none()
    }

    fn report(&self) -> Option<TraceReport> {
        let frame = self.frames.own().or(self.place.as_ref()).or(self.frames.shown());
        Some(TraceReport {
            rule: "stack_trace",
            kind: "exception",
            message: self.message.clone(),
            inner: self.cause.clone().map(InnerError::cause),
            frame: frame.cloned(),
        })
    }
}

fn error_in(line: &str) -> Option<String> {
    let groups = [&THREAD, &ERROR].into_iter().find_map(|head| head.as_ref()?.captures(line))?;
    groups.name("message").map(|message| one_line(message.as_str()))
}

fn is_frame(line: &str) -> bool {
    line.starts_with([' ', '\t']) && line.trim_start().starts_with("at ")
}
