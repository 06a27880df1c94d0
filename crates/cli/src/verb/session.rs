//! Implements `session`.

use super::action::print_session_end;
use super::outage::{emptiness, print_outage};
use crate::arguments::{OutputFormat, SessionArgs, SessionEndArgs, SessionRule, SessionVerb};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{self, RenderTime, TableFormat};
use crate::value::DurationArg;
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use longhaul_wire::api::{EndSessionRequest, OutcomesReply, SessionListing};
use serde::Serialize;

/// Lists the sessions, or ends one session.
pub(crate) async fn session(context: &VerbContext, args: &SessionArgs) -> Result<i32, CliError> {
    match &args.verb {
        SessionVerb::List => list(context).await,
        SessionVerb::End(args) => end(context, args).await,
    }
}

/// JSON output of the session list.
#[derive(Serialize)]
struct SessionJson<'a> {
    schema: &'static str,
    #[serde(flatten)]
    listing: &'a SessionListing,
}

/// Prints the list of sessions.
async fn list(context: &VerbContext) -> Result<i32, CliError> {
    let listing: SessionListing = context.client.fetch(&RequestPath::sessions()).await?;
    let console = &context.console;
    print_outage(context, listing.stale_since.as_deref(), &listing.at);
    match console.format {
        Some(OutputFormat::Json) => {
            console.print_json(&SessionJson { schema: "longhaul/sessions/v1", listing: &listing })?;
        }
        Some(OutputFormat::Ndjson) => {
            listing.sessions.iter().try_for_each(|each| console.print_json(each))?
        }
        Some(OutputFormat::Name) => {
            let names = listing.sessions.iter().map(|each| format!("{}\n", each.session_id));
            console.print(&names.collect::<String>())?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None if listing.sessions.is_empty() => {
            console.say(&emptiness(listing.stale_since.as_deref(), "no session has processes"));
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            let now = RenderTime::parse(&listing.at, console.utc);
            console.print(&render::sessions(&listing, TableFormat::of(console), now))?;
        }
    }
    Ok(DONE)
}

async fn end(context: &VerbContext, args: &SessionEndArgs) -> Result<i32, CliError> {
    if args.grace.is_some() && args.policy != Some(SessionRule::Grace) {
        return Err(CliError::Usage {
            what: "--grace requires --policy grace".to_owned(),
            why: None,
            help: "longhaul session end ID --policy grace --grace 30s".to_owned(),
        });
    }
    let request = EndSessionRequest {
        policy: args.policy.map(|policy| policy.word().to_owned()),
        grace_ms: args.grace.map(DurationArg::as_millis),
    };
    let reply: OutcomesReply =
        context.client.send_slowly(&RequestPath::session_end(&args.id), &request).await?;
    let code = print_session_end(context, &reply)?;
    if reply.outcomes.is_empty() {
        context.console.say(&format!("no process of session {} is live", clean_label(&args.id)));
        return Ok(DONE);
    }
    Ok(code)
}
