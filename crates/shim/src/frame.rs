//! Frames: `u32` length (little endian, of all that follows), `u8` kind, then fields.
//!
//! A field is `u8` tag, `u32` length, bytes. Whoever reads skips tags it does not know, which is how messages grow.

use std::fmt;

/// The longest frame that is accepted before and with a launch, in bytes.
pub const MAX_FRAME_LEN: usize = 1 << 20;

const LENGTH: usize = 4;
const FIELD_HEAD: usize = 5;

/// One whole message as it came from a peer, not yet understood.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlFrame {
    kind: u8,
    payload: Vec<u8>,
}

impl ControlFrame {
    /// Returns the number that says which message this is.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// Walks the fields in the order they were sent.
    pub fn fields(&self) -> FrameFields<'_> {
        FrameFields { rest: &self.payload }
    }
}

impl fmt::Debug for ControlFrame {
    // The payload may hold an environment.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Frame").field("kind", &self.kind).field("bytes", &self.payload.len()).finish()
    }
}

/// The fields of a frame; ends after the first error.
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

/// One tagged value of a frame.
#[derive(Clone, Copy)]
pub struct FrameField<'a> {
    tag: u8,
    bytes: &'a [u8],
}

impl<'a> FrameField<'a> {
    /// Returns the number that says which value this is.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// Returns the value as it was sent.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the value as a little-endian number of at most 8 bytes.
    pub fn number(&self) -> Result<u64, ProtocolError> {
        let mut wide = [0; 8];
        let narrow = wide.get_mut(..self.bytes.len()).ok_or(ProtocolError::BadValue { tag: self.tag })?;
        narrow.copy_from_slice(self.bytes);
        Ok(u64::from_le_bytes(wide))
    }

    /// Reads the value as a number that must fit the smaller type `T`.
    pub fn small<T: TryFrom<u64>>(&self) -> Result<T, ProtocolError> {
        T::try_from(self.number()?).map_err(|_| ProtocolError::BadValue { tag: self.tag })
    }

    /// Reads the value as yes (anything but zero) or no.
    pub fn flag(&self) -> Result<bool, ProtocolError> {
        Ok(self.number()? != 0)
    }

    /// Reads the value as UTF-8 text.
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

/// Builds the bytes of one frame.
pub struct FrameWriter {
    bytes: Vec<u8>,
}

impl FrameWriter {
    /// Begins a frame of that kind.
    pub fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[0; LENGTH]);
        bytes.push(kind);
        Self { bytes }
    }

    /// Adds a field of raw bytes.
    pub fn bytes(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&to_u32(value.len()).to_le_bytes());
        self.bytes.extend_from_slice(value);
        self
    }

    /// Adds a number, always as 8 bytes.
    pub fn number(&mut self, tag: u8, value: u64) -> &mut Self {
        self.bytes(tag, &value.to_le_bytes())
    }

    /// Adds yes or no.
    pub fn flag(&mut self, tag: u8, value: bool) -> &mut Self {
        self.bytes(tag, &[u8::from(value)])
    }

    /// Fills in the length and returns the frame, ready to send.
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

/// Collects bytes from a stream and cuts them into frames, never holding more than its limit allows.
pub struct FrameBuffer {
    bytes: Vec<u8>,
    limit: usize,
}

impl FrameBuffer {
    /// Creates an empty buffer that refuses frames longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Sets the longest frame accepted from now on, in bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes in bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes out the next whole frame, if there is one.
    ///
    /// After an error the stream has no known frame border any more: close it.
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
            // A launch is large and comes once; its room is not kept for the life of the work.
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

/// Why bytes of a peer are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame or field ends before its announced length.
    Torn,
    /// A frame is longer than allowed.
    TooLong {
        /// Its announced length in bytes.
        length: usize,
        /// The longest accepted.
        limit: usize,
    },
    /// A field's value is not what its tag promises.
    BadValue {
        /// The tag of the field.
        tag: u8,
    },
    /// A field without which the message means nothing is absent.
    Missing {
        /// The tag of the field.
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

/// Widens a length; pointers are never narrower than 32 bits where this program runs.
fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Narrows a length; one that does not fit is refused by the reader, since it exceeds every limit.
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
