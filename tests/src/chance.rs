//! Random numbers that are derived from a seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A random number generator. The same seed always gives the same numbers.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Creates a generator from a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// Returns a second generator, which gives different numbers.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self::seeded(self.draw())
    }

    /// Returns a random number from the whole range of `u64`.
    pub const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Returns a random number below `bound`, or 0 if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.draw();
        if bound == 0 { 0 } else { drawn % bound }
    }

    /// Returns true with a probability of one in `one_in`.
    pub const fn odds(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// Returns a random element of a slice, or `None` if the slice is empty.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = self.below(u64::try_from(from.len()).unwrap_or(0));
        from.get(usize::try_from(place).unwrap_or(0)).cloned()
    }
}

/// Returns a seed that is different in each test run.
#[must_use]
pub fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ u64::from(std::process::id())
}

/// The output function of the SplitMix64 generator.
const fn mix(place: u64) -> u64 {
    let z = (place ^ (place >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
