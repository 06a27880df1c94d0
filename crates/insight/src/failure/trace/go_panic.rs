//! Panics and fatal errors of Go programs.

use super::frame::{Frame, NearestFrame};
use super::{Fit, Trace, TraceReport};
use crate::failure::finding::one_line;
use regex::Regex;
use std::sync::LazyLock;

/// Maximum number of lines between the message and the first goroutine.
const MAX_HEAD_LINES: u8 = 12;
/// Path fragments that identify files of Go itself and of third-party modules.
const LIBRARIES: [&str; 4] = ["/usr/lib/go", "/usr/local/go/", "/go/src/", "/pkg/mod/"];

static FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\t(?P<file>.+\.(?:go|s)):(?P<line>[0-9]+)(?: \+0x[0-9a-f]+)?(?: in goroutine [0-9]+)?$")
        .ok()
});

/// A panic with the stack traces of goroutines.
#[derive(Clone, Debug)]
pub(super) struct GoPanic {
    message: String,
    head_lines: u8,
    goroutines: u32,
    frames: NearestFrame,
}

impl GoPanic {
    /// Returns a reader for the panic that may start with this line.
    pub(super) fn open(line: &str) -> Option<Self> {
        let starts = line.starts_with("panic: ") || line.starts_with("fatal error: ");
        starts.then(|| Self {
            message: one_line(line),
            head_lines: 0,
            goroutines: 0,
            frames: NearestFrame::default(),
        })
    }

    fn read_stack(&mut self, line: &str) -> Fit {
        let is_call = line.ends_with(')') && line.contains('(');
        let is_other =
            line.is_empty() || ["created by ", "...", "[signal "].iter().any(|start| line.starts_with(start));
        if line.starts_with('\t') {
            self.read_frame(line);
        } else if !is_call && !is_other {
            return Fit::Outside;
        }
        Fit::Part
    }

    fn read_frame(&mut self, line: &str) {
        if self.goroutines > 1 || self.frames.own().is_some() {
            return;
        }
        let frame = FRAME.as_ref().and_then(|frame| Frame::of(&frame.captures(line)?));
        if let Some(frame) = frame {
            let is_library = LIBRARIES.iter().any(|part| frame.file.contains(part));
            self.frames.add_farther(frame, is_library);
        }
    }
}

impl Trace for GoPanic {
    fn read(&mut self, line: &str) -> Fit {
        if line.starts_with("goroutine ") && line.ends_with("]:") {
            self.goroutines = self.goroutines.saturating_add(1);
            return Fit::Part;
        }
        if self.goroutines > 0 {
            return self.read_stack(line);
        }
        self.head_lines = self.head_lines.saturating_add(1);
        if self.head_lines > MAX_HEAD_LINES { Fit::Outside } else { Fit::Part }
    }

    fn is_certain(&self) -> bool {
        self.goroutines > 0
    }

    fn is_replaceable(&self) -> bool {
        false
    }

    fn report(&self) -> Option<TraceReport> {
        Some(TraceReport {
            rule: "go_panic",
            kind: "panic",
            message: self.message.clone(),
            inner: None,
            frame: self.frames.shown().cloned(),
        })
    }
}
