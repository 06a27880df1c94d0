//! `longhaul version`: of this program, and of the manager if there is one.

use longhaul_cli::{Place, manager_version};
use longhaul_wire::api::{PROTOCOL, Problem, Version};
use serde_json::json;

/// Both versions as they are printed, and what answers instead of a manager that is understood.
pub(crate) type Versions = (String, Option<Box<Problem>>);

/// Says both versions; no manager is started for it.
pub(crate) fn version(place: &Place, as_json: bool) -> Versions {
    match manager_version(place) {
        Ok(manager) => (text(place, as_json, Answer::from(manager)), None),
        Err(problem) => (text(place, as_json, Answer::Other), Some(problem)),
    }
}

/// What answered.
enum Answer {
    Manager(Version),
    Nobody,
    Other,
}

impl From<Option<Version>> for Answer {
    fn from(manager: Option<Version>) -> Self {
        manager.map_or(Self::Nobody, Self::Manager)
    }
}

fn text(place: &Place, as_json: bool, answer: Answer) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if as_json {
        let manager = match answer {
            Answer::Manager(manager) => Some(manager),
            Answer::Nobody | Answer::Other => None,
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
        Answer::Manager(manager) => {
            let also: String = manager.listen.iter().map(|url| format!(", {url}")).collect();
            format!(
                "longhaul {own} (protocol {PROTOCOL})\nmanager {} (protocol {}), process {}, node {}, store {}{also}\n",
                manager.version, manager.protocol, manager.pid, manager.node_id, manager.store
            )
        }
        Answer::Other => format!("longhaul {own} (protocol {PROTOCOL})\n"),
        Answer::Nobody => format!(
            "longhaul {own} (protocol {PROTOCOL})\nno manager answers at {}\n",
            place.socket.display()
        ),
    }
}
