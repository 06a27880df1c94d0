//! One entry of the index.

/// The length of an entry in bytes.
pub(crate) const ENTRY_LEN: u64 = 16;

const END_BITS: u32 = 56;
const END_MASK: u64 = (1 << END_BITS) - 1;

/// Which output of the program bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamId {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The end of a run of bytes of one stream, and the time of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The offset just behind the run.
    pub end: u64,
    /// Where the bytes came from.
    pub stream: StreamId,
    /// When the first byte was read, in steady milliseconds.
    pub time: u64,
}

impl IndexEntry {
    /// Encodes the entry.
    pub fn encode(self) -> [u8; 16] {
        let stream = match self.stream {
            StreamId::Stdout => 1_u64,
            StreamId::Stderr => 2,
        };
        let first = self.end & END_MASK | stream << END_BITS;
        (u128::from(self.time) << 64 | u128::from(first)).to_le_bytes()
    }

    /// Reads an entry; `None` if its stream is unknown, as in a hole or in garbage.
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
