//! Decodes cursors of an output and of the event log, in the form in which clients send them. The first line selects
//! the kind of cursor.

use super::{Verdict, headed, said, same};
use longhaul_domain::ProcessId;
use longhaul_view::OutputCursor;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let (which, text) = headed(bytes)?;
    match which {
        "events" => same(|| place(text), |place_now| place(place_now)),
        owner => {
            let owner: ProcessId = owner.parse().map_err(|error| format!("{error}"))?;
            same(
                || OutputCursor::parse(text, owner),
                |cursor| OutputCursor::parse(&cursor.to_string(), owner),
            )
        }
    }
}

fn place(text: &str) -> Result<String, String> {
    longhaul_api::decoders::place(text).map_err(said)
}
