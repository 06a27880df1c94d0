//! Formats the output of a process for a terminal, for a file or for another program.

use super::OutputPiece;
use crate::arguments::StreamName;
use crate::failure::CliError;
use crate::json::on_one_line;
use crate::render::moment_of_millis;
use longhaul_view::{Sanitizer, TerminalPolicy};
use serde::Serialize;

/// Maximum number of bytes that are held back while a line is incomplete. A longer line is split.
const MAX_HELD_LINE_LEN: usize = 64 * 1024;

/// Format in which output is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct PrintOptions {
    /// Control sequences that may be passed on to the terminal; `None` passes all bytes unchanged.
    pub(crate) clean: Option<TerminalPolicy>,
    /// True if each line starts with its time.
    pub(crate) timestamps: bool,
    pub(crate) utc: bool,
    /// Prefix of each line. If it is set, only complete lines are shown.
    pub(crate) prefix: Option<String>,
    /// Process id for JSON output. If the id is set, each chunk is printed as a JSON document.
    pub(crate) json: Option<String>,
}

/// Formats the output of one process.
pub(crate) struct Printer {
    manner: PrintOptions,
    stdout: PrintedStream,
    stderr: PrintedStream,
}

/// State of one stream, stdout or stderr.
struct PrintedStream {
    sanitizer: Option<Sanitizer>,
    /// Part of the current line that has not been shown yet.
    held: Vec<u8>,
    inside_line: bool,
}

/// JSON document for one chunk of output.
#[derive(Serialize)]
struct JsonOutputPiece<'a> {
    id: &'a str,
    stream: &'static str,
    at: String,
    text: std::borrow::Cow<'a, str>,
}

/// JSON output for a remark about the output.
#[derive(Serialize)]
struct JsonRemark<'a> {
    id: &'a str,
    #[serde(flatten)]
    said: JsonOutputLine<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum JsonOutputLine<'a> {
    /// Number of missing bytes; `None` if it is unknown.
    DroppedBytes(Option<u64>),
    Note(&'a str),
}

impl Printer {
    pub(crate) fn new(manner: PrintOptions) -> Self {
        let stream = || PrintedStream {
            sanitizer: manner.clean.map(Sanitizer::new),
            held: Vec::new(),
            inside_line: false,
        };
        Self { stdout: stream(), stderr: stream(), manner }
    }

    /// Returns the bytes to print for a chunk of output. Gaps and notes are returned only for JSON output. Without
    /// JSON, other code prints gaps and notes to standard error.
    pub(crate) fn show(&mut self, piece: &OutputPiece) -> Result<Vec<u8>, CliError> {
        let (name, at, bytes) = match piece {
            OutputPiece::Stdout { at, bytes } => (StreamName::Stdout, *at, bytes),
            OutputPiece::Stderr { at, bytes } => (StreamName::Stderr, *at, bytes),
            OutputPiece::Gap { .. } | OutputPiece::Note { .. } => {
                return self.manner.json.as_deref().map_or(Ok(Vec::new()), |id| json_aside(id, piece));
            }
        };
        if let Some(id) = &self.manner.json {
            return json(id, name, at, bytes);
        }
        let stream = match name {
            StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        };
        let cleaned = match &mut stream.sanitizer {
            Some(sanitizer) => {
                let mut shown = Vec::new();
                sanitizer.push(bytes, &mut shown);
                shown
            }
            None => bytes.clone(),
        };
        if !self.manner.timestamps && self.manner.prefix.is_none() {
            return Ok(cleaned);
        }
        Ok(stream.lead(&self.manner, at, &cleaned))
    }

    /// Returns the last bytes to print at the end of the output.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut shown = Vec::new();
        for stream in [self.stdout, self.stderr] {
            let mut rest = stream.held;
            if let Some(sanitizer) = stream.sanitizer {
                sanitizer.finish(&mut rest);
            }
            if !rest.is_empty() {
                shown.append(&mut rest);
                if self.manner.prefix.is_some() {
                    shown.push(b'\n');
                }
            }
        }
        shown
    }
}

impl PrintedStream {
    /// Adds the prefix and the time to the start of each line. Returns the bytes that can be printed now.
    fn lead(&mut self, manner: &PrintOptions, at: i64, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.inside_line {
                if let Some(prefix) = &manner.prefix {
                    self.held.extend_from_slice(format!("{prefix} | ").as_bytes());
                }
                if manner.timestamps {
                    self.held.extend_from_slice(format!("{} ", moment_of_millis(at, manner.utc)).as_bytes());
                }
            }
            self.held.extend_from_slice(line);
            self.inside_line = !line.ends_with(b"\n");
            if self.inside_line && manner.prefix.is_some() && self.held.len() > MAX_HELD_LINE_LEN {
                self.held.push(b'\n');
                self.inside_line = false;
            }
            if !self.inside_line || manner.prefix.is_none() {
                shown.append(&mut self.held);
            }
        }
        shown
    }
}

/// Returns the JSON output for a gap or a note. Returns no bytes for a chunk that contains output.
pub(super) fn json_aside(id: &str, piece: &OutputPiece) -> Result<Vec<u8>, CliError> {
    let said = match piece {
        OutputPiece::Stdout { .. } | OutputPiece::Stderr { .. } => return Ok(Vec::new()),
        OutputPiece::Gap { dropped } => JsonOutputLine::DroppedBytes(*dropped),
        OutputPiece::Note { text } => JsonOutputLine::Note(text),
    };
    json_line(&JsonRemark { id, said })
}

fn json(id: &str, stream: StreamName, at: i64, bytes: &[u8]) -> Result<Vec<u8>, CliError> {
    json_line(&JsonOutputPiece {
        id,
        stream: match stream {
            StreamName::Stdout => "stdout",
            StreamName::Stderr => "stderr",
        },
        at: moment_of_millis(at, true),
        text: String::from_utf8_lossy(bytes),
    })
}

fn json_line(document: &impl Serialize) -> Result<Vec<u8>, CliError> {
    Ok(on_one_line(document)?.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_output_is_passed_on_byte_by_byte() {
        let mut printer = Printer::new(PrintOptions::default());
        assert_eq!(shown(&mut printer, b"\x1b[2J\xff\r"), "\u{1b}[2J\u{fffd}\r");
    }

    #[test]
    fn terminal_gets_no_control_sequence_even_across_chunks() {
        let mut printer =
            Printer::new(PrintOptions { clean: Some(TerminalPolicy::Plain), ..PrintOptions::default() });
        assert_eq!(shown(&mut printer, b"a\x1b[2"), "a");
        assert_eq!(shown(&mut printer, b"Jb\n"), "b\n");
    }

    #[test]
    fn each_line_begins_with_its_time_once() {
        let mut printer =
            Printer::new(PrintOptions { timestamps: true, utc: true, ..PrintOptions::default() });
        assert_eq!(
            shown(&mut printer, b"one\ntw"),
            "1970-01-01T00:00:01.500Z one\n1970-01-01T00:00:01.500Z tw"
        );
        assert_eq!(shown(&mut printer, b"o\n"), "o\n");
    }

    #[test]
    fn prefixed_lines_are_shown_whole() {
        let mut printer =
            Printer::new(PrintOptions { prefix: Some("web".to_owned()), ..PrintOptions::default() });
        assert_eq!(shown(&mut printer, b"one\ntw"), "web | one\n");
        assert_eq!(shown(&mut printer, b"o\nrest"), "web | two\n");
        assert_eq!(printer.finish(), b"web | rest\n");
    }

    #[test]
    fn streams_do_not_share_a_line() {
        let mut printer =
            Printer::new(PrintOptions { prefix: Some("web".to_owned()), ..PrintOptions::default() });
        assert_eq!(shown(&mut printer, b"out"), "");
        let piece = OutputPiece::Stderr { at: 0, bytes: b"err\n".to_vec() };
        assert_eq!(printer.show(&piece).unwrap(), b"web | err\n");
        assert_eq!(shown(&mut printer, b" continues\n"), "web | out continues\n");
    }

    #[test]
    fn endless_line_is_not_held_for_ever() {
        let mut printer =
            Printer::new(PrintOptions { prefix: Some("web".to_owned()), ..PrintOptions::default() });
        assert!(shown(&mut printer, &vec![b'x'; MAX_HELD_LINE_LEN + 1]).ends_with("x\n"));
    }

    #[test]
    fn json_piece_names_stream_and_time() {
        let mut printer =
            Printer::new(PrintOptions { json: Some("id".to_owned()), ..PrintOptions::default() });
        assert_eq!(
            shown(&mut printer, b"a\n"),
            "{\"id\":\"id\",\"stream\":\"stdout\",\"at\":\"1970-01-01T00:00:01.500Z\",\"text\":\"a\\n\"}\n"
        );
    }

    fn shown(printer: &mut Printer, bytes: &[u8]) -> String {
        let piece = OutputPiece::Stdout { at: 1_500, bytes: bytes.to_vec() };
        String::from_utf8_lossy(&printer.show(&piece).unwrap()).into_owned()
    }
}
