//! Traces: errors with a structure of several lines.

mod frame;
mod go_panic;
mod python;
mod rust_panic;
mod stack;

use frame::Frame;
use go_panic::GoPanic;
use python::PythonTraceback;
use rust_panic::RustPanic;
use stack::StackTrace;
use std::fmt::Debug;

/// Weight of a trace: more than a compiler's error, which the trace of a wrapper may surround, less than a full disk.
pub(super) const TRACE_WEIGHT: u8 = 85;

/// Texts of which the first line of each trace contains one.
pub(super) const OPENING_TEXTS: [&str; 16] = [
    "Traceback (most recent call last):",
    "  File \"",
    "Error:",
    "Error [",
    "Exception",
    "Throwable",
    "Rejection",
    "panicked at ",
    "panic: ",
    "fatal error: ",
    ".js:",
    ".mjs:",
    ".cjs:",
    ".ts:",
    ".mts:",
    ".jsx:",
];

/// How a trace takes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The line is part of the trace.
    Part,
    /// The line is the last one of the trace.
    Last,
    /// The trace ended before the line.
    Outside,
}

/// What a trace states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceReport {
    /// Name of the kind of trace.
    pub(super) rule: &'static str,
    /// Kind, unless a rule refines it.
    pub(super) kind: &'static str,
    /// Final error.
    pub(super) message: String,
    /// Error behind the final one.
    pub(super) inner: Option<InnerError>,
    /// Place of the error.
    pub(super) frame: Option<Frame>,
}

/// An error behind the final one, as the trace says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InnerError {
    /// Its relation to the final one, in words.
    pub(super) relation: &'static str,
    /// The error.
    pub(super) message: String,
}

impl InnerError {
    /// Returns the error that caused the final one.
    fn cause(message: String) -> Self {
        Self { relation: "caused by", message }
    }
}

/// Reads the lines of one trace.
pub(super) trait Trace: Debug + Send {
    /// Reads the next line.
    fn read(&mut self, line: &str) -> Fit;

    /// Returns true once the lines are a trace without doubt. Before that, they may be ordinary lines.
    fn is_certain(&self) -> bool;

    /// Returns true if a line that may start another trace replaces this one, which is not yet certain.
    fn is_replaceable(&self) -> bool {
        true
    }

    /// Returns what the trace states, or `None` if its final error is missing.
    fn report(&self) -> Option<TraceReport>;
}

/// Returns the trace that may start with a line.
pub(super) fn open(line: &str) -> Option<Box<dyn Trace>> {
    fn boxed<T: Trace + 'static>(trace: T) -> Box<dyn Trace> {
        Box::new(trace)
    }
    PythonTraceback::open(line)
        .map(boxed)
        .or_else(|| RustPanic::open(line).map(boxed))
        .or_else(|| GoPanic::open(line).map(boxed))
        .or_else(|| StackTrace::open(line).map(boxed))
}
