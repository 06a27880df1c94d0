//! On whose behalf tools are called.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// On whose behalf tools are called: what a launch gets that asks for nothing else, and what is allowed.
#[derive(Clone, Default)]
pub struct Caller {
    /// The working directory of the client, where it is known; an absolute path.
    pub directory: Option<PathBuf>,
    /// The variables of the client, where they are known.
    pub environment: Option<Arc<BTreeMap<String, String>>>,
    /// The session that everything is bound to that is launched or registered.
    pub session: Option<String>,
    /// The process of the same manager that the client runs inside of: the parent of what names none.
    pub parent: Option<String>,
    /// Only tools that read may be called.
    pub read_only: bool,
}

impl fmt::Debug for Caller {
    /// Prints names of variables only: values may be secrets.
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
