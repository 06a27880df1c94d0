//! The standard input of commands.

use crate::asked::Asked;
use crate::body::Ask;
use crate::entry::Entry;
use crate::expected::Expected;
use crate::reference::Reference;
use crate::refused::Refused;
use crate::reply::Reply;
use longhaul_wire::api::{InputReply, InputRequest};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::post("/v1/processes/{reference}/input", write)
            .named(
                "write_input",
                "Writes to the standard input of a command that was launched with a pipe for it",
            )
            .guarded()
            .needs::<InputRequest>()
            .answers::<InputReply>(200, "How much of it was taken"),
    ]
}

/// `POST /v1/processes/{ref}/input`.
async fn write(
    Asked(api): Asked,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<InputRequest>,
) -> Result<Reply<InputReply>, Refused> {
    Ok(Reply::ok(expected.judge(api.write_input(&reference, request, expected.revision()).await)?))
}
