//! `session`

use super::order::tell_session_end;
use crate::arguments::{SessionArgs, SessionEndArgs, SessionRule, SessionVerb};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::value::Span;
use longhaul_view::clean_label;
use longhaul_wire::api::{EndSessionRequest, OutcomesReply};

/// Does something with a session.
pub(crate) async fn session(context: &Context, args: &SessionArgs) -> Result<i32, Failure> {
    match &args.verb {
        SessionVerb::End(args) => end(context, args).await,
    }
}

/// Ends a session.
async fn end(context: &Context, args: &SessionEndArgs) -> Result<i32, Failure> {
    if args.grace.is_some() && args.policy != Some(SessionRule::Grace) {
        return Err(Failure::Usage {
            what: "only the policy grace has a length of time".to_owned(),
            why: None,
            help: "longhaul session end ID --policy grace --grace 30s".to_owned(),
        });
    }
    let request = EndSessionRequest {
        policy: args.policy.map(|policy| policy.word().to_owned()),
        grace_ms: args.grace.map(Span::as_millis),
    };
    let reply: OutcomesReply = context.client.send_slowly(&Path::session_end(&args.id), &request).await?;
    let code = tell_session_end(context, &reply)?;
    if reply.outcomes.is_empty() {
        context.console.say(&format!("nothing of session {} lives", clean_label(&args.id)));
        return Ok(DONE);
    }
    Ok(code)
}
