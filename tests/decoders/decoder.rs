//! Decoders of untrusted or stored bytes. For each decoder there is one function that accepts any bytes.
//!
//! The fuzz targets and the test of their corpora call the same functions. An input that the fuzzer finds becomes a
//! file of the corpus, and is then tested in every run. A function panics if its decoder panics, if it decodes the same
//! bytes to two values, or if it does not read back the value that it wrote.

mod agent_output;
mod attempt_files;
mod configuration;
mod cursors;
mod fs_journal;
mod http_bodies;
mod names;
mod output_files;
mod output_frames;
mod progress;
mod progress_lines;
mod records;
mod redis_answers;
mod scratch;
mod shim_messages;
mod shown_output;
mod state_dir_files;

use longhaul_api::ApiError;
use std::fmt::{Debug, Display};

/// Result of a decoder: success, or the reason why it rejected the bytes.
pub(crate) type Verdict = Result<(), String>;

/// A decoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    /// Name of the fuzz target, and of the directory that contains its corpus.
    pub(crate) name: &'static str,
    /// Function that accepts any bytes and passes them to the decoder.
    pub(crate) take: fn(&[u8]) -> Verdict,
}

/// All decoders.
pub(crate) const DECODERS: [Decoder; 16] = [
    Decoder { name: "agent_output", take: agent_output::take },
    Decoder { name: "attempt_files", take: attempt_files::take },
    Decoder { name: "configuration", take: configuration::take },
    Decoder { name: "cursors", take: cursors::take },
    Decoder { name: "fs_journal", take: fs_journal::take },
    Decoder { name: "http_bodies", take: http_bodies::take },
    Decoder { name: "names", take: names::take },
    Decoder { name: "output_files", take: output_files::take },
    Decoder { name: "output_frames", take: output_frames::take },
    Decoder { name: "progress", take: progress::take },
    Decoder { name: "progress_lines", take: progress_lines::take },
    Decoder { name: "records", take: records::take },
    Decoder { name: "redis_answers", take: redis_answers::take },
    Decoder { name: "shim_messages", take: shim_messages::take },
    Decoder { name: "shown_output", take: shown_output::take },
    Decoder { name: "state_dir_files", take: state_dir_files::take },
];

/// Passes bytes to the decoder with this name.
///
/// # Panics
/// If there is no such decoder, if the decoder has a defect, or if the reason for a rejection is empty or too long.
pub(crate) fn check(name: &str, bytes: &[u8]) -> Verdict {
    let decoder = DECODERS.iter().find(|decoder| decoder.name == name);
    assert!(decoder.is_some(), "there is no decoder {name}");
    let verdict = decoder.map_or(Ok(()), |decoder| (decoder.take)(bytes));
    if let Err(why) = &verdict {
        assert!(!why.trim().is_empty(), "the bytes were rejected without a reason");
        // The reason may quote the input, and escapes make the quotation longer than the input.
        let limit = bytes.len().saturating_mul(12).saturating_add(4_096);
        assert!(
            why.len() <= limit,
            "the reason for the rejection of {} bytes has {}",
            bytes.len(),
            why.len()
        );
    }
    verdict
}

/// Decodes the input twice, encodes the value and decodes it again. All results must be equal.
fn same<T: PartialEq + Debug, E: Display>(
    read: impl Fn() -> Result<T, E>,
    again: impl Fn(&T) -> Result<T, E>,
) -> Verdict {
    let (one, other) = (told(read()), told(read()));
    assert_eq!(one, other, "two decodings differ");
    let found = one?;
    let rewritten = told(again(&found));
    assert_eq!(rewritten.as_ref(), Ok(&found), "the decoding of the encoded value differs");
    Ok(())
}

fn told<T, E: Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Returns the complete error document that a client receives.
fn said(fault: ApiError) -> String {
    told(serde_json::to_string(&fault.into_problem())).unwrap_or_else(|error| error)
}

/// Splits a text into its first line and the text after it. The first line selects the format.
fn headed(bytes: &[u8]) -> Result<(&str, &str), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the input is not text".to_owned())?;
    text.split_once('\n').ok_or_else(|| "the input has no first line".to_owned())
}
