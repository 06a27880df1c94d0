//! The client on whose behalf tools are called.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Client on whose behalf tools are called, with its defaults for launches and its permissions.
#[derive(Clone, Default)]
pub struct Caller {
    /// Working directory of the client, an absolute path; `None` if unknown.
    pub directory: Option<PathBuf>,
    /// Environment variables of the client; `None` if unknown.
    pub environment: Option<Arc<BTreeMap<String, String>>>,
    /// Session that all launched and registered processes of the client belong to.
    pub session: Option<String>,
    /// Process of this manager in which the client runs. New processes get it as their parent by default.
    pub parent: Option<String>,
    /// True if the client may call only tools that read.
    pub read_only: bool,
}

impl fmt::Debug for Caller {
    /// Prints only the names of the variables, because their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("directory", &self.directory)
            .field("environment", &self.environment.as_ref().map(|all| all.keys().collect::<Vec<_>>()))
            .field("session", &self.session)
            .field("parent", &self.parent)
            .field("read_only", &self.read_only)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_prints_no_value_of_its_environment() {
        let environment = BTreeMap::from([("TOKEN".to_owned(), "secret-value".to_owned())]);
        let caller = Caller { environment: Some(Arc::new(environment)), ..Caller::default() };
        let printed = format!("{caller:?}");
        assert!(printed.contains("TOKEN") && !printed.contains("secret-value"), "{printed}");
    }
}
