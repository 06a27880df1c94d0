//! Byte form of the chunks of an output tail.

use longhaul_domain::Timestamp;
use longhaul_ports::{OutputChunk, OutputSource, OutputTail};
use longhaul_wire::output::{FrameKind, OutputFrame};

/// Encodes the chunks of a tail as frames.
pub(crate) fn encode(tail: &OutputTail) -> Vec<u8> {
    let mut out = Vec::new();
    for OutputChunk { offset, source, at, bytes } in &tail.chunks {
        let kind = match source {
            OutputSource::Stdout => FrameKind::Stdout,
            OutputSource::Stderr => FrameKind::Stderr,
        };
        OutputFrame { kind, offset: *offset, at: at.0, bytes: bytes.clone() }.encode(&mut out);
    }
    out
}

/// Decodes the chunks of a tail that ends at the offset `total`. The bytes are not trusted, because other programs may
/// write to a shared store. The error says what is wrong.
pub(crate) fn decode(total: u64, mut rest: Vec<u8>) -> Result<Vec<OutputChunk>, String> {
    let (mut chunks, mut end) = (Vec::new(), 0);
    while let Some(OutputFrame { kind, offset, at, bytes }) =
        OutputFrame::take(&mut rest).map_err(|error| error.to_string())?
    {
        let source = match kind {
            FrameKind::Stdout => OutputSource::Stdout,
            FrameKind::Stderr => OutputSource::Stderr,
            FrameKind::Gap | FrameKind::End | FrameKind::Note => {
                return Err("a stored output tail has an invalid frame".to_owned());
            }
        };
        let next = u64::try_from(bytes.len()).ok().and_then(|length| offset.checked_add(length));
        end = match next {
            Some(next) if offset >= end && next <= total => next,
            Some(_) | None => return Err("the frames of a stored output tail are out of order".to_owned()),
        };
        chunks.push(OutputChunk { offset, source, at: Timestamp(at), bytes });
    }
    if !rest.is_empty() {
        return Err("a stored output tail ends within a frame".to_owned());
    }
    Ok(chunks)
}
