//! Conversion of frames to text, for server-sent events and lines of JSON.

use crate::stream::StreamItem;
use axum::body::Bytes;
use futures_util::{Stream, StreamExt, stream};
use longhaul_wire::output::{FrameKind, OutputFrame};
use serde::Serialize;

/// One item of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct OutputItem {
    /// `stdout`, `stderr`, `gap`, `note` or `end`.
    event: &'static str,
    /// Offset at which the output continues after this item.
    next: u64,
    /// Text of a stream or of a note. Bytes that are not UTF-8 are replaced.
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

/// Converter from frames to items.
#[derive(Debug, Default)]
struct TextDecoder {
    frames: Vec<u8>,
    /// For stdout and stderr, the received bytes of a character whose last bytes have not arrived yet.
    rest: [Vec<u8>; 2],
}

/// Converts encoded frames to items. If the frames cannot be read, the stream of items stops without an item `end`.
pub(super) fn items<E>(pieces: impl Stream<Item = Result<Bytes, E>>) -> impl Stream<Item = StreamItem> {
    let mut decoder = TextDecoder::default();
    let pieces = pieces.take_while(|piece| std::future::ready(piece.is_ok()));
    pieces
        .flat_map(move |piece| stream::iter(piece.map(|piece| decoder.decode(&piece)).unwrap_or_default()))
        .map(|item| StreamItem::of(item.event.to_owned(), item.next.to_string(), &item))
}

impl TextDecoder {
    fn decode(&mut self, piece: &[u8]) -> Vec<OutputItem> {
        self.frames.extend_from_slice(piece);
        let mut items = Vec::new();
        while let Ok(Some(frame)) = OutputFrame::take(&mut self.frames) {
            self.push(frame, &mut items);
        }
        items
    }

    fn push(&mut self, frame: OutputFrame, items: &mut Vec<OutputItem>) {
        let OutputFrame { kind, offset, bytes, .. } = frame;
        let [stdout, stderr] = &mut self.rest;
        match kind {
            FrameKind::Stdout | FrameKind::Stderr => {
                let (event, rest) =
                    if kind == FrameKind::Stdout { ("stdout", stdout) } else { ("stderr", stderr) };
                let next = offset.saturating_add(bytes.len() as u64);
                rest.extend_from_slice(&bytes);
                let text = take_text(rest);
                if !text.is_empty() {
                    items.push(OutputItem { event, next, text });
                }
            }
            FrameKind::Gap => items.push(OutputItem { event: "gap", next: offset, text: String::new() }),
            FrameKind::Note => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                items.push(OutputItem { event: "note", next: offset, text });
            }
            FrameKind::End => {
                for (event, rest) in [("stdout", stdout), ("stderr", stderr)] {
                    if !rest.is_empty() {
                        let text = String::from_utf8_lossy(rest).into_owned();
                        items.push(OutputItem { event, next: offset, text });
                        rest.clear();
                    }
                }
                items.push(OutputItem { event: "end", next: offset, text: String::new() });
            }
        }
    }
}

/// Removes the complete characters from the buffer and returns them as text.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let incomplete = match bytes.utf8_chunks().last() {
        Some(last) if bytes.ends_with(last.invalid()) && is_incomplete(last.invalid()) => {
            last.invalid().len()
        }
        Some(_) | None => 0,
    };
    let rest = bytes.split_off(bytes.len().saturating_sub(incomplete));
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

/// Returns true if these bytes are the start of a character, so that further bytes can complete it.
fn is_incomplete(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_that_is_split_between_frames_is_not_damaged() {
        let mut decoder = TextDecoder::default();
        let mut bytes = Vec::new();
        for (kind, offset, part) in [
            (FrameKind::Stdout, 0, &b"a\xc3"[..]),
            (FrameKind::Stderr, 2, b"!\xff"),
            (FrameKind::Stdout, 4, b"\xbc\xe2\x82"),
            (FrameKind::Gap, 90, b""),
            (FrameKind::End, 90, b""),
        ] {
            OutputFrame { kind, offset, at: 0, bytes: part.to_vec() }.encode(&mut bytes);
        }
        let mut items = Vec::new();
        for byte in bytes {
            items.extend(decoder.decode(&[byte]));
        }
        let seen: Vec<_> = items.iter().map(|item| (item.event, item.next, item.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("stdout", 2, "a"),
                ("stderr", 4, "!\u{fffd}"),
                ("stdout", 7, "ü"),
                ("gap", 90, ""),
                ("stdout", 90, "\u{fffd}"),
                ("end", 90, ""),
            ]
        );
    }
}
