//! Decodes frames of output. The result must not depend on how the bytes are split into chunks.

use super::{Verdict, told};
use longhaul_wire::output::{InvalidFrame, OutputFrame};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let mut buffer = Vec::new();
    let mut frames = Vec::new();
    for half in [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
        buffer.extend_from_slice(half);
        told(drain(&mut buffer, &mut frames))?;
    }
    let mut whole = bytes.to_vec();
    let mut at_once = Vec::new();
    told(drain(&mut whole, &mut at_once))?;
    assert_eq!((&frames, &buffer), (&at_once, &whole), "the result depends on how the bytes are split");
    for frame in frames {
        let mut written = Vec::new();
        frame.encode(&mut written);
        assert_eq!(
            OutputFrame::take(&mut written),
            Ok(Some(frame)),
            "the decoding of the encoded value differs"
        );
        assert!(written.is_empty(), "bytes are left after a whole frame");
    }
    Ok(())
}

fn drain(buffer: &mut Vec<u8>, frames: &mut Vec<OutputFrame>) -> Result<(), InvalidFrame> {
    while let Some(frame) = OutputFrame::take(buffer)? {
        frames.push(frame);
    }
    Ok(())
}
