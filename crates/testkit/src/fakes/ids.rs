//! Predictable ids and random numbers.

use longhaul_domain::{OpId, ProcessId, RandomBits};
use longhaul_ports::IdSource;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::{Builder, Uuid};

/// Generates ids and random numbers from a seed: the same seed gives the same values. An id is random from its first
/// character on.
#[derive(Debug)]
pub struct SequentialIds {
    seed: u64,
    drawn: AtomicU64,
}

impl SequentialIds {
    /// Creates a source with this seed. Sources with different seeds never generate the same id in a test.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    fn uuid(&self) -> Uuid {
        let place = self.drawn.fetch_add(1, Ordering::Relaxed);
        let high = mix(mix(self.seed) ^ place);
        let low = mix(high ^ mix(place));
        Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes()).into_uuid()
    }
}

impl Default for SequentialIds {
    fn default() -> Self {
        Self::seeded(1)
    }
}

impl IdSource for SequentialIds {
    fn process(&self) -> ProcessId {
        ProcessId::new(self.uuid())
    }

    fn op(&self) -> OpId {
        OpId::new(self.uuid())
    }

    fn chance(&self) -> RandomBits {
        RandomBits(mix(mix(self.seed) ^ self.drawn.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The output function of the SplitMix64 generator: maps each number to a different number. Numbers that are close
/// together are mapped to numbers that are far apart.
pub(crate) const fn mix(place: u64) -> u64 {
    let mut z = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
