//! Decodes messages to and from a shim. The result must not depend on how the bytes are split into chunks.

use super::{Verdict, told};
use longhaul_shim::{ControlFrame, FrameBuffer, MAX_FRAME_LEN, ProtocolError, ShimMessage, ShimRequest};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let (whole, ended) = frames(&[bytes]);
    let half = bytes.len() / 2;
    let pieces = frames(&[&bytes[..half], &bytes[half..]]);
    assert_eq!((&whole, &ended), (&pieces.0, &pieces.1), "the result depends on how the bytes are split");
    for frame in &whole {
        understood(frame)?;
    }
    told(ended)?;
    if whole.is_empty() { Err("the input has no complete message".to_owned()) } else { Ok(()) }
}

fn frames(pieces: &[&[u8]]) -> (Vec<ControlFrame>, Result<(), ProtocolError>) {
    let (mut buffer, mut frames) = (FrameBuffer::new(MAX_FRAME_LEN), Vec::new());
    for piece in pieces {
        buffer.push(piece);
        loop {
            match buffer.pull() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(()))
}

/// Decodes bytes as a request to a shim and as a message from a shim. Encodes each result and decodes it again; all
/// results must be equal.
fn understood(frame: &ControlFrame) -> Verdict {
    assert_eq!(ShimRequest::decode(frame), ShimRequest::decode(frame), "two decodings differ");
    assert_eq!(ShimMessage::decode(frame), ShimMessage::decode(frame), "two decodings differ");
    let (order, notice) = (ShimRequest::decode(frame), ShimMessage::decode(frame));
    if let Ok(Some(order)) = &order {
        assert_eq!(ShimRequest::from_bytes(&order.encode()).as_ref(), Ok(order));
    }
    if let Ok(Some(notice)) = &notice {
        assert_eq!(ShimMessage::from_bytes(&notice.encode()).as_ref(), Ok(notice));
    }
    match (order, notice) {
        (Err(error), Err(_) | Ok(None)) | (Ok(None), Err(error)) => Err(error.to_string()),
        (Ok(_), Ok(_)) | (Ok(Some(_)), Err(_)) | (Err(_), Ok(Some(_))) => Ok(()),
    }
}
