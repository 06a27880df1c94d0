//! Answers of a Redis, in its own protocol: the first line says to what.

use super::Verdict;
use longhaul_adapters::redis::decoders::read;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no first line")?;
    let which = std::str::from_utf8(&bytes[..end]).map_err(|_| "it is no text".to_owned())?;
    let answer = || read(which, &bytes[end + 1..]).map_err(|error| error.to_string());
    let one = answer();
    assert_eq!(one, answer(), "it is read in two ways");
    one.map(drop)
}
