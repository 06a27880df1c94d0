//! The first error that a failed command printed.

/// The error in the output of a failed command that explains the failure best, usually the first error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstError {
    /// Kind of the error, such as `compile_error`, `exception` or `disk_full`.
    pub kind: String,
    /// The error in a single line, such as `AssertionError: test_login failed`.
    pub message: String,
    /// Name of the source file, as given in the output.
    pub file: Option<String>,
    /// Line number in the source file; the first line is 1.
    pub line: Option<u32>,
    /// Column number in the source line; the first column is 1.
    pub column: Option<u32>,
    /// True if the position of the error in the output is known. The position is unknown if only a test report names
    /// the error.
    pub has_place: bool,
    /// True if the command printed the error to standard output.
    pub on_stdout: bool,
    /// Offset of the first line of the error in the output of the attempt, in bytes.
    pub offset: u64,
    /// All lines of the error, such as a whole traceback; `None` if the error has only one line.
    pub detail: Option<String>,
    /// Operating system process that listened on the port of the error when the command ended. `None` if the error
    /// names no port, or if the process is unknown.
    pub port_holder: Option<PortHolder>,
}

/// A process of the operating system that listens on a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// Number of the port.
    pub port: u16,
    /// Id of the process.
    pub pid: u32,
    /// Name of the program.
    pub name: String,
}
