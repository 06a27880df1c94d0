//! Decodes commits and checkpoints of the file store, with the checksum in the input and with a correct one.

use super::{Verdict, same};
use longhaul_adapters::fs::decoders::{reread, signed};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let lines = signed(bytes);
    same(|| reread(&lines), |file| reread(file)).or_else(|_| same(|| reread(bytes), |file| reread(file)))
}
