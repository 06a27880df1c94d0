//! The command `longhaul version`, which prints the versions of this program and of a running manager.

use crate::dispatch::{VerbContext, version_of};
use crate::exit_code::DONE;
use crate::failure::CliError;
use longhaul_client::{ClientError, ManagerLocator};
use longhaul_wire::api::{PROTOCOL, VersionReply};
use serde_json::json;

/// Prints the versions of this program and of the running manager. Does not start a manager.
pub(crate) async fn version(context: &VerbContext, place: &ManagerLocator) -> Result<i32, CliError> {
    let (answer, failure) = match version_of(place).await {
        Ok(manager) => (VersionResponse::Manager(manager), None),
        Err(CliError::Client(ClientError::Down { .. })) => (VersionResponse::Nobody, None),
        Err(failure) => (VersionResponse::Other, Some(failure)),
    };
    context.console.print(&text(place, context.console.is_json(), answer))?;
    failure.map_or(Ok(DONE), Err)
}

/// Result of the request for the manager's version.
enum VersionResponse {
    Manager(VersionReply),
    Nobody,
    Other,
}

fn text(place: &ManagerLocator, as_json: bool, answer: VersionResponse) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if as_json {
        let manager = match answer {
            VersionResponse::Manager(manager) => Some(manager),
            VersionResponse::Nobody | VersionResponse::Other => None,
        };
        let answer = json!({
            "schema": "longhaul/version/v1",
            "version": own,
            "protocol": PROTOCOL,
            "manager": manager,
        });
        return format!("{answer:#}\n");
    }
    match answer {
        VersionResponse::Manager(manager) => {
            let also: String = manager.listen.iter().map(|url| format!(", {url}")).collect();
            format!(
                "longhaul {own} (protocol {PROTOCOL})\nmanager {} (protocol {}), process {}, node {}, store {}{also}\n",
                manager.version, manager.protocol, manager.pid, manager.node_id, manager.store
            )
        }
        VersionResponse::Other => format!("longhaul {own} (protocol {PROTOCOL})\n"),
        VersionResponse::Nobody => format!(
            "longhaul {own} (protocol {PROTOCOL})\nno manager answers at {}\n",
            place.socket.display()
        ),
    }
}
