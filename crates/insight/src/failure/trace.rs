//! Traces: errors whose structure spans several lines.

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

/// Weight of a trace. It is greater than that of a compiler error, because the trace of a wrapper may surround a
/// compiler error, and less than that of a full disk.
pub(super) const TRACE_WEIGHT: u8 = 85;

/// Texts that start a trace. The first line of each trace contains one of them.
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

/// Relation of a line to a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The line is part of the trace.
    Part,
    /// The line is the last line of the trace.
    Last,
    /// The trace ended before the line.
    Outside,
}

/// The error that a trace reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TraceReport {
    /// Name of the kind of trace.
    pub(super) rule: &'static str,
    /// Kind of the error. A rule can replace it with a more specific kind.
    pub(super) kind: &'static str,
    /// Final error.
    pub(super) message: String,
    /// Another error that led to the final error.
    pub(super) inner: Option<InnerError>,
    /// Place in the source where the error occurred.
    pub(super) frame: Option<Frame>,
}

/// Another error in the trace that led to the final error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InnerError {
    /// Relation to the final error, in words.
    pub(super) relation: &'static str,
    /// The error.
    pub(super) message: String,
}

impl InnerError {
    /// Creates the error that caused the final error.
    fn cause(message: String) -> Self {
        Self { relation: "caused by", message }
    }
}

/// Reader for the lines of one trace.
pub(super) trait Trace: Debug + Send {
    /// Reads the next line.
    fn read(&mut self, line: &str) -> Fit;

    /// Returns true as soon as the lines are certainly a trace. Before that, they may be ordinary lines.
    fn is_certain(&self) -> bool;

    /// Returns true if this trace is replaced when a line may start another trace. This applies only while this trace
    /// is not yet certain.
    fn is_replaceable(&self) -> bool {
        true
    }

    /// Returns the error that the trace reports, or `None` if the final error is missing.
    fn report(&self) -> Option<TraceReport>;
}

/// Returns a reader for the trace that may start with this line.
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
