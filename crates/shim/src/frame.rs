//! Frames of the control protocol. A frame consists of a `u32` length of everything that follows (little endian), a
//! `u8` kind, and fields.
//!
//! A field consists of a `u8` tag, a `u32` length, and bytes. Receivers skip unknown tags, so that later versions can
//! add fields to messages.

use std::fmt;

/// Maximum length in bytes of a frame before and during the launch. After the launch, a shim accepts only shorter
/// frames.
pub const MAX_FRAME_LEN: usize = 1 << 20;

const LENGTH: usize = 4;
const FIELD_HEAD: usize = 5;

/// One complete frame from a peer, not yet decoded into a message.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlFrame {
    kind: u8,
    payload: Vec<u8>,
}

impl ControlFrame {
    /// Returns the number that identifies the kind of the message.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Returns an iterator over the fields of the frame, in the order in which they were sent.
    pub fn fields(&self) -> FrameFields<'_> {
        FrameFields { rest: &self.payload }
    }
}

impl fmt::Debug for ControlFrame {
    // Omits the payload from the debug output, because the payload may contain an environment.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Frame").field("kind", &self.kind).field("bytes", &self.payload.len()).finish()
    }
}

/// Iterator over the fields of a frame. The iteration ends after the first error.
#[derive(Clone)]
pub struct FrameFields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for FrameFields<'a> {
    type Item = Result<FrameField<'a>, ProtocolError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = self.rest.split_first_chunk::<FIELD_HEAD>().and_then(|([tag, length @ ..], rest)| {
            let (bytes, rest) = rest.split_at_checked(to_usize(u32::from_le_bytes(*length)))?;
            Some((FrameField { tag: *tag, bytes }, rest))
        });
        if let Some((field, rest)) = split {
            self.rest = rest;
            Some(Ok(field))
        } else {
            self.rest = &[];
            Some(Err(ProtocolError::Torn))
        }
    }
}

impl fmt::Debug for FrameFields<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Fields").field("bytes", &self.rest.len()).finish()
    }
}

/// One tagged field of a frame.
#[derive(Clone, Copy)]
pub struct FrameField<'a> {
    tag: u8,
    bytes: &'a [u8],
}

impl<'a> FrameField<'a> {
    /// Returns the tag, which identifies the field in its message.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// Returns the undecoded bytes of the field.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the field as a little-endian number of at most 8 bytes.
    pub fn number(&self) -> Result<u64, ProtocolError> {
        let mut wide = [0; 8];
        let narrow = wide.get_mut(..self.bytes.len()).ok_or(ProtocolError::BadValue { tag: self.tag })?;
        narrow.copy_from_slice(self.bytes);
        Ok(u64::from_le_bytes(wide))
    }

    /// Reads the field as a number and converts it to the smaller type `T`. Fails if the number does not fit.
    pub fn small<T: TryFrom<u64>>(&self) -> Result<T, ProtocolError> {
        T::try_from(self.number()?).map_err(|_| ProtocolError::BadValue { tag: self.tag })
    }

    /// Reads the field as a flag: zero is false, and every other number is true.
    pub fn flag(&self) -> Result<bool, ProtocolError> {
        Ok(self.number()? != 0)
    }

    /// Reads the field as UTF-8 text.
    pub fn text(&self) -> Result<&'a str, ProtocolError> {
        std::str::from_utf8(self.bytes).map_err(|_| ProtocolError::BadValue { tag: self.tag })
    }

    pub(crate) fn bad(&self) -> ProtocolError {
        ProtocolError::BadValue { tag: self.tag }
    }
}

impl fmt::Debug for FrameField<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Field").field("tag", &self.tag).field("bytes", &self.bytes.len()).finish()
    }
}

/// Builder for the bytes of one frame.
pub struct FrameWriter {
    bytes: Vec<u8>,
}

impl FrameWriter {
    /// Starts a frame of the given message kind.
    pub fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[0; LENGTH]);
        bytes.push(kind);
        Self { bytes }
    }

    /// Adds a field that contains these bytes.
    pub fn bytes(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&to_u32(value.len()).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    /// Adds a number field, always with 8 bytes.
    pub fn number(&mut self, tag: u8, value: u64) -> &mut Self {
        self.bytes(tag, &value.to_le_bytes())
    }

    /// Adds a flag field: one byte, 0 or 1.
    pub fn flag(&mut self, tag: u8, value: bool) -> &mut Self {
        self.bytes(tag, &[u8::from(value)])
    }

    /// Writes the length of the frame into its start, and returns the frame.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let length = to_u32(bytes.len().saturating_sub(LENGTH)).to_le_bytes();
        for (place, byte) in bytes.iter_mut().zip(length) {
            *place = byte;
        }
        bytes
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FrameWriter").field("bytes", &self.bytes.len()).finish()
    }
}

/// Collects bytes of a stream and splits them into frames. Refuses frames that are longer than a limit.
pub struct FrameBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl FrameBuffer {
    /// Creates an empty buffer that refuses frames longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Sets the maximum length in bytes of the next frames.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends received bytes to the frame buffer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Removes and returns the next complete frame, or returns `None` if the buffer contains no complete frame.
    ///
    /// # Errors
    /// After an error, the start of the next frame in the stream is unknown. The caller must close the connection.
    pub fn pull(&mut self) -> Result<Option<ControlFrame>, ProtocolError> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = to_usize(u32::from_le_bytes(*head));
        if length > self.limit {
            return Err(ProtocolError::TooLong { length, limit: self.limit });
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let (kind, payload) = body.split_first().ok_or(ProtocolError::Torn)?;
        let frame = ControlFrame { kind: *kind, payload: payload.to_vec() };
        self.bytes.drain(..LENGTH.saturating_add(length));
        if self.bytes.is_empty() {
            // A launch is large, and only one launch is received. Free its memory instead of keeping it until the
            // command ends.
            self.bytes = Vec::new();
        }
        Ok(Some(frame))
    }
}

impl fmt::Debug for FrameBuffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.bytes.len();
        out.debug_struct("FrameBuffer").field("held", &held).field("limit", &self.limit).finish()
    }
}

/// Reason why bytes of a peer are not a valid message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame or a field ends before the length that it announces.
    Torn,
    /// A frame is longer than the maximum length.
    TooLong {
        /// Length in bytes that the frame announces.
        length: usize,
        /// Maximum frame length in bytes that the receiver accepts.
        limit: usize,
    },
    /// The value of a field is not valid for its tag.
    BadValue {
        /// Tag of the field with the invalid value.
        tag: u8,
    },
    /// A required field is absent.
    Missing {
        /// Tag of the absent field.
        tag: u8,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => out.write_str("frame ends before its announced length"),
            Self::TooLong { length, limit } => {
                write!(out, "the frame has {length} bytes; at most {limit} are allowed")
            }
            Self::BadValue { tag } => write!(out, "the field {tag} has a value of the wrong type"),
            Self::Missing { tag } => write!(out, "the field {tag} is missing"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Converts a `u32` length to `usize`. This is lossless, because `usize` has at least 32 bits on all supported
/// machines.
fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Converts a length to `u32`. A length that does not fit becomes `u32::MAX`. That length exceeds every limit, so the
/// receiver refuses the frame.
fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        FrameWriter::new(7).number(1, 300).bytes(2, b"text").flag(3, true).finish()
    }

    #[test]
    fn frame_survives_arriving_byte_by_byte() {
        let mut buffer = FrameBuffer::new(MAX_FRAME_LEN);
        let bytes = sample();
        let (last, first) = bytes.split_last().unwrap();
        for byte in first {
            buffer.push(&[*byte]);
            assert_eq!(buffer.pull(), Ok(None));
        }
        buffer.push(&[*last]);
        let frame = buffer.pull().unwrap().unwrap();
        let fields: Vec<_> = frame.fields().map(Result::unwrap).collect();
        assert_eq!(frame.kind(), 7);
        assert_eq!(fields[0].number(), Ok(300));
        assert_eq!(fields[1].text(), Ok("text"));
        assert_eq!(fields[2].flag(), Ok(true));
        assert_eq!(buffer.pull(), Ok(None));
    }

    #[test]
    fn announced_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        let mut buffer = FrameBuffer::new(10);
        buffer.push(&11_u32.to_le_bytes());
        assert_eq!(buffer.pull(), Err(ProtocolError::TooLong { length: 11, limit: 10 }));
    }

    #[test]
    fn empty_frame_is_torn() {
        let mut buffer = FrameBuffer::new(10);
        buffer.push(&0_u32.to_le_bytes());
        assert_eq!(buffer.pull(), Err(ProtocolError::Torn));
    }

    #[test]
    fn payload_cut_anywhere_never_panics_and_ends() {
        let bytes = sample();
        for cut in 5..bytes.len() {
            let frame = ControlFrame { kind: 7, payload: bytes[5..cut].to_vec() };
            let fields: Vec<_> = frame.fields().collect();
            assert!(fields.len() <= 3);
            let torn = fields.iter().filter(|field| field.is_err()).count();
            assert!(torn <= 1);
        }
    }

    #[test]
    fn debug_shows_no_payload() {
        let frame = ControlFrame { kind: 2, payload: b"SECRET=hunter2".to_vec() };
        assert!(!format!("{frame:?}").contains("hunter2"));
    }
}
