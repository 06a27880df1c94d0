//! What reads bytes that somebody else wrote, or that a disk gave back: one function for each, which takes any bytes.
//!
//! The fuzz targets and the test of their corpora call the same functions, so that what one of them finds is a file more
//! in the corpus and a test for ever. Each of them breaks (it panics) if a decoder panics, reads the same bytes in two
//! ways, or does not read what it wrote itself as what it was.

mod attempt_files;
mod configuration;
mod cursors;
mod fs_journal;
mod http_bodies;
mod names;
mod output_files;
mod output_frames;
mod progress;
mod records;
mod redis_answers;
mod scratch;
mod shim_messages;
mod shown_output;
mod state_dir_files;

use longhaul_api::ApiError;
use std::fmt::{Debug, Display};

/// That the bytes were understood, or why not.
pub(crate) type Verdict = Result<(), String>;

/// Something that reads bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    /// The name of its target, and of the directory of its corpus.
    pub(crate) name: &'static str,
    /// Reads any bytes.
    pub(crate) take: fn(&[u8]) -> Verdict,
}

/// All of them.
pub(crate) const DECODERS: [Decoder; 14] = [
    Decoder { name: "attempt_files", take: attempt_files::take },
    Decoder { name: "configuration", take: configuration::take },
    Decoder { name: "cursors", take: cursors::take },
    Decoder { name: "fs_journal", take: fs_journal::take },
    Decoder { name: "http_bodies", take: http_bodies::take },
    Decoder { name: "names", take: names::take },
    Decoder { name: "output_files", take: output_files::take },
    Decoder { name: "output_frames", take: output_frames::take },
    Decoder { name: "progress", take: progress::take },
    Decoder { name: "records", take: records::take },
    Decoder { name: "redis_answers", take: redis_answers::take },
    Decoder { name: "shim_messages", take: shim_messages::take },
    Decoder { name: "shown_output", take: shown_output::take },
    Decoder { name: "state_dir_files", take: state_dir_files::take },
];

/// Hands bytes to the decoder of that name.
///
/// # Panics
/// If there is none, if the decoder breaks, or if it refuses without a word, or with more of them than it was given.
pub(crate) fn check(name: &str, bytes: &[u8]) -> Verdict {
    let decoder = DECODERS.iter().find(|decoder| decoder.name == name);
    assert!(decoder.is_some(), "there is no decoder {name}");
    let verdict = decoder.map_or(Ok(()), |decoder| (decoder.take)(bytes));
    if let Err(why) = &verdict {
        assert!(!why.trim().is_empty(), "it was refused, and nobody says why");
        // What is quoted may grow by its escapes, and by no more.
        let limit = bytes.len().saturating_mul(12).saturating_add(4_096);
        assert!(why.len() <= limit, "a refusal of {} bytes is answered with {}", bytes.len(), why.len());
    }
    verdict
}

/// Reads twice, and once more what was written of it: it is the same thing each time.
fn same<T: PartialEq + Debug, E: Display>(
    read: impl Fn() -> Result<T, E>,
    again: impl Fn(&T) -> Result<T, E>,
) -> Verdict {
    let (one, other) = (told(read()), told(read()));
    assert_eq!(one, other, "it is read in two ways");
    let found = one?;
    let rewritten = told(again(&found));
    assert_eq!(rewritten.as_ref(), Ok(&found), "it is read otherwise once it was written anew");
    Ok(())
}

fn told<T, E: Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// All that a client is told of what is wrong.
fn said(fault: ApiError) -> String {
    told(serde_json::to_string(&fault.into_problem())).unwrap_or_else(|error| error)
}

/// Text of which the first line says what the rest is.
fn headed(bytes: &[u8]) -> Result<(&str, &str), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    text.split_once('\n').ok_or_else(|| "it has no first line".to_owned())
}
