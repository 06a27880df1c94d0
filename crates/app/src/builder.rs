//! Builder of the program `longhaul` and of an embedded longhaul.

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

/// Builder of the program `longhaul` and of a longhaul that is embedded in another program.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) flags: Flags,
    pub(crate) sources: Option<ConfigSources>,
    pub(crate) stores: Stores,
}

impl Builder {
    /// Adds a type of store for a URL scheme. The configuration can then name a store of this type, as in `store =
    /// "etcd:…"`.
    ///
    /// `open` opens the store inside the runtime of the manager. The built-in schemes of longhaul cannot be replaced.
    #[must_use]
    pub fn store<F, O>(mut self, scheme: &str, open: F) -> Self
    where
        F: Fn(StoreContext) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Arc<dyn Store>, StoreError>> + Send + 'static,
    {
        self.stores.add(scheme, open);
        self
    }

    /// Adds a kind of store that implements [`Migrate`], so that `longhaul store copy` can read and write it. Apart
    /// from that, this method is like [`store`](Self::store).
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

    /// Sets the state directory. The default is the same as for the program `longhaul`. This setting affects
    /// [`open`](Self::open) only.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Sets configuration values that override all other sources, like command-line flags. This setting affects
    /// [`open`](Self::open) only.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the sources from which the configuration is read, including flags. No other sources are read. This setting
    /// affects [`open`](Self::open) only.
    #[must_use]
    pub fn sources(mut self, sources: ConfigSources) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Opens a longhaul inside this program: an engine without a socket. A second call for the same state directory
    /// returns a handle to the same engine.
    ///
    /// The caller must be inside a Tokio runtime that outlives the handle. Each command runs under a shim, which is the
    /// first of these programs that is available:
    ///
    /// 1. The program in the setting `shim.path`.
    /// 2. `longhaul-shim` in the directory of the current program.
    /// 3. The current program. The function `main` of this program must call `longhaul_shim::run_if_asked()` as its
    ///    first step.
    ///
    /// # Errors
    /// [`ProgramError`] in these cases:
    ///
    /// - The configuration is invalid.
    /// - Another manager uses the state directory or the store.
    /// - A part of the engine cannot be opened.
    pub async fn open(self) -> Result<Longhaul, ProgramError> {
        Longhaul::open(self).await
    }

    /// Runs a program with the added types of stores. The program executes all commands of `longhaul`: the commands of
    /// the client and the commands of the manager.
    #[must_use]
    pub fn run(self) -> ExitCode {
        dispatch::run(&self.stores, Some(longhaul_cli::run))
    }

    /// Runs the program `longhauld` with the added types of stores. `longhauld` executes only the commands of the
    /// manager: `serve`, `doctor`, `config`, `store`, `token` and `init`. The program `longhaul` in the same directory
    /// executes all other commands.
    #[must_use]
    pub fn run_manager(self) -> ExitCode {
        dispatch::run(&self.stores, None)
    }
}
