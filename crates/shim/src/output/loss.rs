//! Where output could not be stored.

/// The name of the file.
pub(crate) const LOST: &str = "output.lost";

/// The length of an entry in bytes.
pub(crate) const LENGTH: u64 = 16;

/// So many places are told apart; what is lost behind the last of them counts there.
pub(crate) const MAX_LOSSES: u64 = 256;

/// Output that could not be stored, because the disk was full or failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The offset in the log at which it is missing.
    pub offset: u64,
    /// How many bytes are missing there.
    pub bytes: u64,
}

impl Loss {
    pub(crate) fn encode(self) -> [u8; 16] {
        (u128::from(self.bytes) << 64 | u128::from(self.offset)).to_le_bytes()
    }

    /// Reads an entry; `None` for one that tells of nothing, as in a hole.
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
