//! Builds the environment of a command when an attempt starts.

use crate::engine::EngineShared;
use longhaul_domain::{CommandSpec, SessionId};
use longhaul_ports::EnvironmentStoreError;
use std::collections::BTreeMap;

/// Default variables that disable prompts and pagers. Captured and declared variables take precedence.
const NON_INTERACTIVE: &[(&str, &str)] = &[
    ("CI", "1"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("PIP_NO_INPUT", "1"),
    ("PYTHONUNBUFFERED", "1"),
    ("NPM_CONFIG_YES", "true"),
];

/// Variables that the engine sets for every attempt. Captured values of these variables are dropped, because they
/// belong to another process.
const RESERVED_VARIABLES: &[&str] = &[
    "LONGHAUL_ID",
    "LONGHAUL_ATTEMPT",
    "LONGHAUL_SOCKET",
    "LONGHAUL_SESSION",
    longhaul_insight::test_run::PYTEST_REPORT_VARIABLE,
];

impl EngineShared {
    /// Returns the environment of a command. It consists of the captured variables except the removed and hidden ones,
    /// then the default variables, then the declared variables.
    pub(crate) async fn environment_of(
        &self,
        command: &CommandSpec,
        session: Option<&SessionId>,
    ) -> Result<Vec<(String, String)>, EnvironmentStoreError> {
        let asked = &command.environment;
        let captured = match &asked.captured {
            Some(hash) => self.parts.environments.open(hash).await?,
            None => Vec::new(),
        };
        let mut all: BTreeMap<String, String> = captured.into_iter().collect();
        let hidden = self.settings.hidden.iter().map(String::as_str);
        for name in
            hidden.chain(RESERVED_VARIABLES.iter().copied()).chain(asked.removed.iter().map(String::as_str))
        {
            all.remove(name);
        }
        if !asked.bare {
            for (name, value) in NON_INTERACTIVE {
                if !asked.removed.iter().any(|removed| removed == name) {
                    all.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
                }
            }
        }
        if let Some(socket) = &self.settings.socket {
            all.insert("LONGHAUL_SOCKET".to_owned(), socket.clone());
        }
        if let Some(session) = session {
            all.insert("LONGHAUL_SESSION".to_owned(), session.to_string());
        }
        all.extend(asked.declared.iter().cloned());
        Ok(all.into_iter().collect())
    }
}
