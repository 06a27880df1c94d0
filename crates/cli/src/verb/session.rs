//! `session`

use super::order::tell_session_end;
use crate::arguments::{Format, SessionArgs, SessionEndArgs, SessionRule, SessionVerb};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{self, Look, Now};
use crate::value::Span;
use longhaul_view::clean_label;
use longhaul_wire::api::{EndSessionRequest, OutcomesReply, SessionListing};
use serde::Serialize;

/// Does something with a session.
pub(crate) async fn session(context: &Context, args: &SessionArgs) -> Result<i32, Failure> {
    match &args.verb {
        SessionVerb::List => list(context).await,
        SessionVerb::End(args) => end(context, args).await,
    }
}

/// What programs are told.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    listing: &'a SessionListing,
}

/// Shows the sessions.
async fn list(context: &Context) -> Result<i32, Failure> {
    let listing: SessionListing = context.client.fetch(&Path::sessions()).await?;
    let console = &context.console;
    match console.format {
        Some(Format::Json) => {
            console.print_json(&Document { schema: "longhaul/sessions/v1", listing: &listing })?;
        }
        Some(Format::Ndjson) => listing.sessions.iter().try_for_each(|each| console.print_json(each))?,
        Some(Format::Name) => {
            let names = listing.sessions.iter().map(|each| format!("{}\n", each.session_id));
            console.print(&names.collect::<String>())?;
        }
        Some(Format::Table | Format::Wide) | None if listing.sessions.is_empty() => {
            console.say("no session has processes");
        }
        Some(Format::Table | Format::Wide) | None => {
            let now = Now::said(&listing.at, console.utc);
            console.print(&render::sessions(&listing, Look::of(console), now))?;
        }
    }
    Ok(DONE)
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
        context.console.say(&format!("no process of session {} is live", clean_label(&args.id)));
        return Ok(DONE);
    }
    Ok(code)
}
