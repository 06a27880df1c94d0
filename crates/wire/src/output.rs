//! Format in which output is transferred: frames of raw bytes, so that no byte is lost or re-encoded.
//!
//! A frame has a header of 25 bytes, followed by its content. Numbers in the header are little-endian:
//! - kind (1 byte): 1 stdout, 2 stderr, 3 gap, 4 end, 5 note;
//! - offset (u64);
//! - time in milliseconds (i64), on the steady clock of [`OutputFrame::at`];
//! - length of the content (u32);
//! - 4 zero bytes.
//!
//! Some frames contain no output:
//! - A gap has no content. Its offset is the position at which the output continues after the gap.
//! - An end has no content. Its offset is the position at which a later request can continue.
//! - A note contains a text about the output, such as the reason why it stops. Notes are sent only if the request has
//!   the header [`NOTES_HEADER`].

/// Media type of a stream of frames.
pub const MEDIA_TYPE: &str = "application/vnd.longhaul.output";
/// Name of the request header with which a client declares that it understands notes.
pub const NOTES_HEADER: &str = "longhaul-notes";
/// Size of the header of a frame, in bytes.
pub const HEAD: usize = 25;
/// Maximum size of the content of one frame, in bytes.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// One piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFrame {
    /// Kind of the frame.
    pub kind: FrameKind,
    /// Offset in the output of the first byte of this frame.
    pub offset: u64,
    /// Time at which the first byte was read, in milliseconds of the steady clock. Changes of the system time do not
    /// affect this clock.
    pub at: i64,
    /// Content of the frame.
    pub bytes: Vec<u8>,
}

/// Kind of a frame of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Bytes of the standard output.
    Stdout,
    /// Bytes of the standard error.
    Stderr,
    /// Gap: the bytes before the offset of this frame were dropped.
    Gap,
    /// End: there is no more output for now.
    End,
    /// Text about the output, such as the reason why it stops.
    Note,
}

/// Error for bytes that are not a valid frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// The kind in the header is unknown.
    #[error("there is no frame kind {kind}")]
    Kind {
        /// Number of the kind in the header.
        kind: u8,
    },
    /// The length in the header exceeds 1 MiB.
    #[error("a frame of {length} bytes is too long")]
    Length {
        /// Length in the header, in bytes.
        length: u32,
    },
}

impl OutputFrame {
    /// Appends the encoded frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            FrameKind::Stdout => 1,
            FrameKind::Stderr => 2,
            FrameKind::Gap => 3,
            FrameKind::End => 4,
            FrameKind::Note => 5,
        };
        out.push(kind);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.bytes);
    }

    /// Removes the first frame from `buffer` and returns it. Returns `None` if the frame is not complete yet.
    ///
    /// # Errors
    /// Returns [`InvalidFrame`] if the buffer does not start with a valid header.
    pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Self>, InvalidFrame> {
        let Some((head, rest)) = buffer.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [kind, o0, o1, o2, o3, o4, o5, o6, o7, t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, l2, l3, ..] =
            *head;
        let kind = match kind {
            1 => FrameKind::Stdout,
            2 => FrameKind::Stderr,
            3 => FrameKind::Gap,
            4 => FrameKind::End,
            5 => FrameKind::Note,
            kind => return Err(InvalidFrame::Kind { kind }),
        };
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let whole = usize::try_from(length).ok().filter(|length| *length <= MAX_FRAME_BYTES);
        let Some(whole) = whole else {
            return Err(InvalidFrame::Length { length });
        };
        let Some(bytes) = rest.get(..whole) else {
            return Ok(None);
        };
        let frame = Self {
            kind,
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            at: i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            bytes: bytes.to_vec(),
        };
        buffer.drain(..HEAD + whole);
        Ok(Some(frame))
    }
}
