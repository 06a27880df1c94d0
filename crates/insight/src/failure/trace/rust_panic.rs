//! Panics in Rust programs.

use super::frame::Frame;
use super::{Fit, Trace, TraceReport};
use crate::failure::finding::one_line;
use regex::Regex;
use std::sync::LazyLock;

static HEAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^thread '[^']*'(?: \([0-9]+\))? panicked at (?:'(?P<message>.*)', )?(?P<file>[^':]+):(?P<line>[0-9]+):(?P<column>[0-9]+):?$",
    )
    .ok()
});

/// A panic with an optional backtrace.
#[derive(Clone, Debug)]
pub(super) struct RustPanic {
    frame: Option<Frame>,
    message: Option<String>,
    /// Values that a failed assertion compared, at most two.
    values: Vec<String>,
}

impl RustPanic {
    /// Returns a reader for the panic that starts with this line.
    pub(super) fn open(line: &str) -> Option<Self> {
        let groups = line.starts_with("thread '").then(|| HEAD.as_ref()?.captures(line)).flatten()?;
        let message = groups.name("message").map(|text| one_line(text.as_str()));
        Some(Self { frame: Frame::of(&groups), message, values: Vec::new() })
    }
}

impl Trace for RustPanic {
    fn read(&mut self, line: &str) -> Fit {
        let text = line.trim_start();
        let is_value = text.starts_with("left: ") || text.starts_with("right: ");
        if self.message.is_none() {
            self.message = Some(one_line(line));
        } else if is_value && line.starts_with(' ') && self.values.len() < 2 {
            self.values.push(one_line(text));
        } else if !is_backtrace(line, text) {
            return Fit::Outside;
        }
        Fit::Part
    }

    fn is_certain(&self) -> bool {
        true
    }

    fn report(&self) -> Option<TraceReport> {
        let parts = [self.message.as_ref()?].into_iter().chain(&self.values);
        let message = one_line(&parts.map(String::as_str).collect::<Vec<_>>().join(", "));
        Some(TraceReport {
            rule: "rust_panic",
            kind: "panic",
            message,
            inner: None,
            frame: self.frame.clone(),
        })
    }
}

fn is_backtrace(line: &str, text: &str) -> bool {
    let is_frame = || {
        text.starts_with("at ")
            || text.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    line == "stack backtrace:"
        || line.starts_with("note: run with ")
        || line.starts_with("note: Some details are omitted")
        || line.starts_with(' ') && is_frame()
}
