//! Puts a longhaul together: what a program adds, and where its state is.

use crate::config::{ConfigSources, Flags};
use crate::dispatch;
use crate::failure::ProgramError;
use crate::longhaul::Longhaul;
use crate::stores::{StoreContext, Stores};
use longhaul_engine::ports::{Migrate, Store, StoreError};
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Puts a longhaul together: what a program adds, and where its state is.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) flags: Flags,
    pub(crate) sources: Option<ConfigSources>,
    pub(crate) stores: Stores,
}

impl Builder {
    /// Adds a kind of store under the scheme of its URL: `store = "etcd:…"` in the configuration then opens it with `open`,
    /// inside the runtime of the manager. One of longhaul's own schemes stays what it is.
    #[must_use]
    pub fn store<F, O>(mut self, scheme: &str, open: F) -> Self
    where
        F: Fn(StoreContext) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + 'static,
    {
        self.stores.add(scheme, open);
        self
    }

    /// Adds a kind of store as [`store`](Self::store) does, which `longhaul store copy` can read and write: it implements
    /// [`Migrate`].
    #[must_use]
    pub fn movable_store<F, O, S>(mut self, scheme: &str, open: F) -> Self
    where
        F: Fn(StoreContext) -> O + Send + Sync + 'static,
        O: Future<Output = Result<S, StoreError>> + Send + 'static,
        S: Store + Migrate,
    {
        self.stores.add_movable(scheme, open);
        self
    }

    /// Keeps the state in this directory, instead of where the program `longhaul` keeps it. Only for [`open`](Self::open).
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Sets values of the configuration as flags do: above everything else. Only for [`open`](Self::open).
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Reads the configuration from these sources alone, flags included. Only for [`open`](Self::open).
    #[must_use]
    pub fn sources(mut self, sources: ConfigSources) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Opens a longhaul inside this program: an engine without socket. The second call for a state directory gives the
    /// handle of the first.
    ///
    /// To be called inside a runtime that outlives the handle. Commands run under a supervisor of their own: `shim.path`,
    /// else `longhaul-shim` beside the program, else the program itself, which then has to call
    /// `longhaul_shim::run_if_asked()` before everything else.
    ///
    /// # Errors
    /// [`ProgramError`] if the configuration is wrong, another manager has the state directory or its store, or a part of the
    /// engine cannot be opened.
    pub async fn open(self) -> Result<Longhaul, ProgramError> {
        Longhaul::open(self).await
    }

    /// Is the program `longhaul`, with everything that was added: the command line, the manager, the HTTP API and the
    /// configuration.
    #[must_use]
    pub fn run(self) -> ExitCode {
        dispatch::run(&self.stores)
    }
}
