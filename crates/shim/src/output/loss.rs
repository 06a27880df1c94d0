//! The losses: the ranges of output that could not be stored, with their offsets in the log.

/// Name of the file that stores the losses.
pub(crate) const LOST: &str = "output.lost";

/// Length of a loss entry in bytes.
pub(crate) const LENGTH: u64 = 16;

/// Maximum number of loss entries. The last entry also counts all bytes that are lost later.
pub(crate) const MAX_LOSSES: u64 = 256;

/// Output that could not be stored because the disk was full or reported an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Offset in the output log at which the bytes are missing.
    pub offset: u64,
    /// Number of bytes that are missing at the offset.
    pub bytes: u64,
}

impl Loss {
    pub(crate) fn encode(self) -> [u8; 16] {
        (u128::from(self.bytes) << 64 | u128::from(self.offset)).to_le_bytes()
    }

    /// Decodes a loss entry. Returns `None` if the entry counts zero bytes, as in a file hole.
    pub(crate) fn decode(bytes: [u8; 16]) -> Option<Self> {
        let [offset, lost] = [0, 64].map(|shift| u64::try_from((u128::from_le_bytes(bytes) >> shift) & MASK));
        let loss = Self { offset: offset.ok()?, bytes: lost.ok()? };
        (loss.bytes > 0).then_some(loss)
    }
}

const MASK: u128 = u64::MAX as u128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_comes_back_as_it_was_written() {
        let loss = Loss { offset: 7, bytes: u64::MAX };
        assert_eq!(Loss::decode(loss.encode()), Some(loss));
        assert_eq!(Loss::decode([0; 16]), None);
    }
}
