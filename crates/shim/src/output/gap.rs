//! The gap: the middle part of the output, which was dropped to limit the size of the output on disk.

use std::ops::Range;

/// Name of the file that stores the gap.
pub(crate) const GAP_FILE: &str = "output.gap";

/// Length of the gap file in bytes.
pub(crate) const GAP_FILE_LEN: usize = 32;

/// Dropped ranges of the output log and of its index, in bytes. The ranges are empty while nothing has been dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OutputGap {
    pub(crate) log: Range<u64>,
    pub(crate) index: Range<u64>,
}

impl OutputGap {
    pub(crate) fn encode(&self) -> [u8; GAP_FILE_LEN] {
        let words = [self.log.start, self.log.end, self.index.start, self.index.end];
        let mut bytes = [0; GAP_FILE_LEN];
        for (place, byte) in bytes.iter_mut().zip(words.into_iter().flat_map(u64::to_le_bytes)) {
            *place = byte;
        }
        bytes
    }

    /// Decodes the content of the gap file. A range that ends before it starts is invalid, and becomes an empty range.
    pub(crate) fn decode(bytes: &[u8; GAP_FILE_LEN]) -> Self {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut range = || {
            let (start, end) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
            if start <= end { start..end } else { 0..0 }
        };
        Self { log: range(), index: range() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gap_comes_back_as_it_was_written() {
        let gap = OutputGap { log: 4_096..8_192, index: 16..32 };
        assert_eq!(OutputGap::decode(&gap.encode()), gap);
    }

    #[test]
    fn range_that_runs_backwards_is_nothing() {
        let mut bytes = [0; GAP_FILE_LEN];
        bytes[0] = 9;
        assert_eq!(OutputGap::decode(&bytes), OutputGap::default());
    }
}
