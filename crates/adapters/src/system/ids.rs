//! Random ids and random bits from the operating system.

use longhaul_domain::{OpId, ProcessId, RandomBits};
use longhaul_ports::IdSource;
use uuid::Uuid;

/// Source of version 4 UUIDs.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn process(&self) -> ProcessId {
        ProcessId::new(Uuid::new_v4())
    }

    fn op(&self) -> OpId {
        OpId::new(Uuid::new_v4())
    }

    fn chance(&self) -> RandomBits {
        // Some bits of a version 4 UUID are fixed, but at different positions in its two halves. Every bit of the XOR
        // is therefore random.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        RandomBits(high ^ low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_ids_are_the_same_and_all_are_version_4() {
        let mut drawn: Vec<ProcessId> = (0..1_000).map(|_| RandomIds.process()).collect();
        assert!(drawn.iter().all(|id| id.as_uuid().get_version_num() == 4));
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1_000);
    }

    #[test]
    fn every_bit_of_chance_is_drawn() {
        let (mut ones, mut zeros) = (0, 0);
        for _ in 0..200 {
            let RandomBits(bits) = RandomIds.chance();
            ones |= bits;
            zeros |= !bits;
        }
        assert_eq!((ones, zeros), (u64::MAX, u64::MAX));
    }
}
