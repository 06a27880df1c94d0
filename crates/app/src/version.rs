//! The command `longhaul version`, which prints the versions of this program and of a running manager.

use longhaul_cli::{ManagerLocator, manager_version};
use longhaul_wire::api::{PROTOCOL, Problem, VersionReply};
use serde_json::json;

/// The text to print. Also contains a problem if an incompatible program responds instead of a manager.
pub(crate) type VersionReport = (String, Option<Box<Problem>>);

/// Returns the versions of this program and of the running manager. Does not start a manager.
pub(crate) fn version(place: &ManagerLocator, as_json: bool) -> VersionReport {
    match manager_version(place) {
        Ok(manager) => (text(place, as_json, VersionResponse::from(manager)), None),
        Err(problem) => (text(place, as_json, VersionResponse::Other), Some(problem)),
    }
}

/// Result of the request for the manager's version.
enum VersionResponse {
    Manager(VersionReply),
    Nobody,
    Other,
}

impl From<Option<VersionReply>> for VersionResponse {
    fn from(manager: Option<VersionReply>) -> Self {
        manager.map_or(Self::Nobody, Self::Manager)
    }
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
