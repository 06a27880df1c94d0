//! Conversion of output pages to frames.

use axum::body::Bytes;
use longhaul_engine::ports::{OutputPage, OutputSource};
use longhaul_wire::output::{FrameKind, OutputFrame};

/// Encoder that turns frames into bytes which are sent together.
pub(super) struct FrameBatch;

impl FrameBatch {
    /// Encodes a page that was read from offset `from`. Returns `None` if the page is empty.
    pub(super) fn of(page: &OutputPage, from: u64) -> Option<Bytes> {
        let mut out = Vec::new();
        let mut lost = page.gap;
        let mut position = from;
        for chunk in &page.chunks {
            // A page reports the number of dropped bytes but not where they were dropped. The gap frame is placed at
            // the first sufficiently wide distance between two chunks.
            if lost > 0 && chunk.offset.saturating_sub(position) >= lost {
                gap(chunk.offset, chunk.at.0).encode(&mut out);
                lost = 0;
            }
            let kind = match chunk.source {
                OutputSource::Stdout => FrameKind::Stdout,
                OutputSource::Stderr => FrameKind::Stderr,
            };
            position = chunk.offset.saturating_add(chunk.bytes.len() as u64);
            let frame =
                OutputFrame { kind, offset: chunk.offset, at: chunk.at.0, bytes: chunk.bytes.clone() };
            frame.encode(&mut out);
        }
        if lost > 0 {
            gap(page.next, 0).encode(&mut out);
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// Encodes a single frame unchanged.
    pub(super) fn one(frame: &OutputFrame) -> Bytes {
        let mut out = Vec::new();
        frame.encode(&mut out);
        out.into()
    }

    /// Encodes a note about the output at this offset.
    pub(super) fn note(offset: u64, text: String) -> Bytes {
        Self::one(&noted(offset, text))
    }

    /// Encodes the end frame. If there is a final note, the note precedes the end frame.
    pub(super) fn end(offset: u64, note: Option<String>) -> Bytes {
        let mut out = Vec::new();
        if let Some(note) = note {
            noted(offset, note).encode(&mut out);
        }
        let end = OutputFrame { kind: FrameKind::End, offset, at: 0, bytes: Vec::new() };
        end.encode(&mut out);
        out.into()
    }
}

fn noted(offset: u64, text: String) -> OutputFrame {
    OutputFrame { kind: FrameKind::Note, offset, at: 0, bytes: text.into_bytes() }
}

const fn gap(offset: u64, at: i64) -> OutputFrame {
    OutputFrame { kind: FrameKind::Gap, offset, at, bytes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Timestamp;
    use longhaul_engine::ports::OutputChunk;

    #[test]
    fn gap_stands_where_the_bytes_are_missing() {
        let page = OutputPage {
            chunks: vec![chunk(0, b"head"), chunk(1_000, b"tail")],
            next: 1_004,
            gap: 996,
            end: 1_004,
        };
        let frames = decoded(FrameBatch::of(&page, 0).unwrap());
        let kinds: Vec<_> = frames.iter().map(|frame| (frame.kind, frame.offset)).collect();
        assert_eq!(kinds, [(FrameKind::Stdout, 0), (FrameKind::Gap, 1_000), (FrameKind::Stdout, 1_000)]);
    }

    #[test]
    fn gap_at_the_end_is_reported_too() {
        let page = OutputPage { chunks: Vec::new(), next: 500, gap: 500, end: 900 };
        let frames = decoded(FrameBatch::of(&page, 0).unwrap());
        assert_eq!((frames[0].kind, frames[0].offset), (FrameKind::Gap, 500));
    }

    #[test]
    fn empty_page_is_no_frame() {
        let page = OutputPage { chunks: Vec::new(), next: 7, gap: 0, end: 7 };
        assert_eq!(FrameBatch::of(&page, 7), None);
    }

    fn chunk(offset: u64, bytes: &[u8]) -> OutputChunk {
        OutputChunk { offset, source: OutputSource::Stdout, at: Timestamp(1), bytes: bytes.to_vec() }
    }

    fn decoded(bytes: Bytes) -> Vec<OutputFrame> {
        let mut buffer = bytes.to_vec();
        std::iter::from_fn(|| OutputFrame::take(&mut buffer).unwrap()).collect()
    }
}
