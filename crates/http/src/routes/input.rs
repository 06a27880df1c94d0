//! Route that writes to the standard input of commands.

use crate::api_handle::ApiHandle;
use crate::body::JsonBody;
use crate::error_response::ErrorResponse;
use crate::precondition::Precondition;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::Route;
use longhaul_wire::api::{InputReply, InputRequest};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::post("/v1/processes/{reference}/input", write)
            .named(
                "write_input",
                "Writes to the standard input of a command that was launched with a pipe as standard input",
            )
            .guarded()
            .needs::<InputRequest>()
            .answers::<InputReply>(200, "Number of bytes that were written"),
    ]
}

/// `POST /v1/processes/{ref}/input`: writes to the standard input of a command.
async fn write(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    expected: Precondition,
    JsonBody(request): JsonBody<InputRequest>,
) -> Result<JsonReply<InputReply>, ErrorResponse> {
    Ok(JsonReply::ok(expected.judge(api.write_input(&reference, request, expected.revision()).await)?))
}
