//! The entries of the output index.

/// Length of an index entry in bytes.
pub(crate) const ENTRY_LEN: u64 = 16;

const END_BITS: u32 = 56;
const END_MASK: u64 = (1 << END_BITS) - 1;

/// Output stream of the program: standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamId {
    /// Standard output of the program.
    Stdout,
    /// Standard error of the program.
    Stderr,
}

/// Index entry of a run. A run is a sequence of output bytes that came from one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Offset of the first byte after the run.
    pub end: u64,
    /// Stream that the bytes came from.
    pub stream: StreamId,
    /// Time when the first byte of the run was read, in milliseconds of steady time.
    pub time: u64,
}

impl IndexEntry {
    /// Encodes the index entry as 16 bytes.
    pub fn encode(self) -> [u8; 16] {
        let stream = match self.stream {
            StreamId::Stdout => 1_u64,
            StreamId::Stderr => 2,
        };
        let first = self.end & END_MASK | stream << END_BITS;
        (u128::from(self.time) << 64 | u128::from(first)).to_le_bytes()
    }

    /// Decodes an index entry. Returns `None` if the stream is unknown. This is the case for the zeros of a file hole
    /// and for invalid data.
    pub fn decode(bytes: [u8; 16]) -> Option<Self> {
        let both = u128::from_le_bytes(bytes);
        let low = u128::from(u64::MAX);
        let (first, time) = (u64::try_from(both & low).ok()?, u64::try_from(both >> 64).ok()?);
        let stream = match first >> END_BITS {
            1 => StreamId::Stdout,
            2 => StreamId::Stderr,
            _ => return None,
        };
        Some(Self { end: first & END_MASK, stream, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_two_little_endian_words() {
        let entry = IndexEntry { end: 0x0102, stream: StreamId::Stderr, time: 0x0304 };
        let bytes = entry.encode();
        assert_eq!(bytes, [2, 1, 0, 0, 0, 0, 0, 2, 4, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(IndexEntry::decode(bytes), Some(entry));
    }

    #[test]
    fn hole_is_no_entry() {
        assert_eq!(IndexEntry::decode([0; 16]), None);
        assert_eq!(IndexEntry::decode([0xff; 16]), None);
    }
}
