//! Implements the commands `result` and `error`, with which a managed command reports its own result or error.

use super::progress::enclosing;
use crate::arguments::{ErrorArgs, ResultArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use longhaul_client::RequestPath;
use longhaul_wire::api::{ActionReply, UpdateRequest};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Maximum number of bytes that are read from a file. The manager refuses results of more than 64 KiB.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// Sends the result of a process to the manager.
pub(crate) async fn result(context: &VerbContext, args: &ResultArgs) -> Result<i32, CliError> {
    let id = enclosing(args.id.as_deref(), "longhaul result JSON --id ID")?;
    let text = match args.result.strip_prefix('@') {
        Some(file) => content(Path::new(file))?,
        None => args.result.clone(),
    };
    let result: serde_json::Value = serde_json::from_str(&text).map_err(|error| CliError::Usage {
        what: "the result is not JSON".to_owned(),
        why: Some(error.to_string()),
        help: r#"give JSON such as '{"rows": 3}', or @FILE; a text needs quotes inside: '"done"'"#.to_owned(),
    })?;
    report(context, id, UpdateRequest { result: Some(result), ..UpdateRequest::default() }).await
}

/// Sends the error message of a process to the manager.
pub(crate) async fn error(context: &VerbContext, args: &ErrorArgs) -> Result<i32, CliError> {
    let id = enclosing(args.id.as_deref(), "longhaul error TEXT --id ID")?;
    report(context, id, UpdateRequest { error: Some(args.error.clone()), ..UpdateRequest::default() }).await
}

async fn report(context: &VerbContext, id: &str, update: UpdateRequest) -> Result<i32, CliError> {
    let outcome: ActionReply = context.client.amend(&RequestPath::process(id), &update).await?;
    if context.console.is_json() {
        context.console.print_json(&outcome)?;
    }
    Ok(DONE)
}

/// Returns the content of a file, or of standard input for `-`.
fn content(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(MAX_FILE_LEN).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|opened| opened.take(MAX_FILE_LEN).read_to_string(&mut text))
    };
    read.map_err(|source| CliError::file("read", file, source))?;
    Ok(text)
}
