//! What a seed decides.

/// Draws numbers from a seed; the same seed gives the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// Another source, which draws other numbers.
    pub(crate) const fn fork(&mut self) -> Self {
        Self::seeded(self.next())
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below a bound; 0 if the bound is.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.next();
        if bound == 0 { 0 } else { drawn % bound }
    }

    pub(crate) const fn odds(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let place = self.below(u64::try_from(from.len()).unwrap_or(0));
        from.get(usize::try_from(place).unwrap_or(0)).cloned()
    }
}

/// The output function of the SplitMix64 generator.
const fn mix(place: u64) -> u64 {
    let z = (place ^ (place >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
