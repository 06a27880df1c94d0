//! Output on the wire: frames of raw bytes, so that nothing is lost or re-encoded.
//!
//! A frame is 25 bytes of head and then its bytes: kind (1 stdout, 2 stderr, 3 gap, 4 end, 5 note), offset (u64), steady time
//! in milliseconds (i64), length of what follows (u32), and 4 bytes that are zero; numbers are little-endian. A gap has
//! no bytes; its offset is where the output goes on. An end has no bytes; its offset is where to go on another time.
//! A note holds a text that says what becomes of the output, and none of the output; it comes only where [`NOTES_HEADER`] asks
//! for it.

/// The media type of a stream of frames.
pub const MEDIA_TYPE: &str = "application/vnd.longhaul.output";
/// The header of a request whose sender understands notes.
pub const NOTES_HEADER: &str = "longhaul-notes";
/// Bytes of the head of a frame.
pub const HEAD: usize = 25;
/// The most bytes in one frame.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// One piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFrame {
    /// What it is.
    pub kind: FrameKind,
    /// The offset of its first byte.
    pub offset: u64,
    /// When its first byte was read, in milliseconds of steady time.
    pub at: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// From standard output.
    Stdout,
    /// From standard error.
    Stderr,
    /// Bytes before this offset were dropped.
    Gap,
    /// There is no more for now.
    End,
    /// A text about the output, such as why it stops here.
    Note,
}

/// What cannot be a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrame {
    /// The kind is not known.
    #[error("there is no frame kind {kind}")]
    Kind {
        /// The kind.
        kind: u8,
    },
    /// The length is beyond 1 MiB.
    #[error("a frame of {length} bytes is too long")]
    Length {
        /// The length.
        length: u32,
    },
}

impl OutputFrame {
    /// Appends the frame to `out`.
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

    /// Takes the first whole frame out of `buffer`; none until more bytes have come.
    ///
    /// # Errors
    /// [`InvalidFrame`] if the buffer does not begin with a frame.
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
