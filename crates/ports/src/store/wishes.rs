//! How many orders may wait for the owner of a process.

use longhaul_domain::Wish;

/// So many orders may be open for one process.
const MOST: u32 = 16;
/// So many if the last ones ask for its end: whoever fills its places cannot keep it from being stopped.
const MOST_WITH_ENDS: u32 = 20;

/// How many orders may be open for a process, this new one counted.
#[must_use]
pub const fn most_wishes(with: &Wish) -> u32 {
    if with.ends() { MOST_WITH_ENDS } else { MOST }
}
