//! Settings of test runs.

use longhaul_ports::{NoopTestFiles, TestFiles};
use std::sync::Arc;

/// Settings of test runs.
#[derive(Clone, Debug)]
pub struct TestRunSettings {
    /// Port that stores the results and reads the reports of commands; [`NoopTestFiles`] stores nothing.
    pub files: Arc<dyn TestFiles>,
    /// Absolute path of the directory with the pytest plugin. With `None`, the plugin is not loaded.
    pub plugin_directory: Option<String>,
}

impl Default for TestRunSettings {
    fn default() -> Self {
        Self { files: Arc::new(NoopTestFiles), plugin_directory: None }
    }
}
