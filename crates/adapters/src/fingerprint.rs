//! Short hashes that identify long texts.

use longhaul_domain::Spec;
use longhaul_wire::record;

/// FNV-1a hash of a byte sequence. The bytes can be added in several calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    /// Returns the fingerprint of a spec. It identifies the spec after the process record is deleted.
    pub(crate) fn of(spec: &Spec) -> u64 {
        let mut fingerprint = Self::new();
        fingerprint.add(record::encode_spec_alone(spec).as_bytes());
        fingerprint.value()
    }
}
