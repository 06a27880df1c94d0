//! Decodes replies of Redis in the Redis protocol. The first line selects the request that the reply answers.

use super::Verdict;
use longhaul_adapters::redis::decoders::read;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("the input has no first line")?;
    let which = std::str::from_utf8(&bytes[..end]).map_err(|_| "the input is not text".to_owned())?;
    let answer = || read(which, &bytes[end + 1..]).map_err(|error| error.to_string());
    let one = answer();
    assert_eq!(one, answer(), "two decodings differ");
    one.map(drop)
}
