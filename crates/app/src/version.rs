//! `longhaul version`: of this program, and of the manager if there is one.

use longhaul_cli::{Place, manager_version};
use longhaul_wire::api::PROTOCOL;
use serde_json::json;

/// Says both versions; no manager is started for it.
pub(crate) fn version(place: &Place, as_json: bool) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let manager = manager_version(place);
    if as_json {
        let answer = json!({
            "schema": "longhaul/version/v1",
            "version": own,
            "protocol": PROTOCOL,
            "manager": manager,
        });
        return format!("{answer:#}\n");
    }
    match manager {
        Some(manager) => format!(
            "longhaul {own} (protocol {PROTOCOL})\nmanager {} (protocol {}), process {}, node {}, store {}\n",
            manager.version, manager.protocol, manager.pid, manager.node_id, manager.store
        ),
        None => format!(
            "longhaul {own} (protocol {PROTOCOL})\nno manager answers at {}\n",
            place.socket.display()
        ),
    }
}
