//! Decodes files of the state directory: captured environments, and the anchor of the monotonic clock.

use super::{Verdict, same};
use longhaul_adapters::system::decoders::{clock, environment, written_environment};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let anchor = std::str::from_utf8(bytes)
        .map_err(|_| "the input is not text".to_owned())
        .and_then(|text| same(|| clock(text), |written| clock(written)));
    let variables = same(
        || environment(bytes).map(sorted),
        |variables| written_environment(variables).and_then(|bytes| environment(&bytes)).map(sorted),
    );
    anchor.or(variables)
}

fn sorted(mut variables: Vec<(String, String)>) -> Vec<(String, String)> {
    variables.sort();
    variables
}
