//! The program `longhaul`: the configuration, the composition of the engine, and the manager.
//!
//! [`Builder::run`] executes the command line. It passes client verbs to `longhaul_cli` and handles all verbs of the
//! manager in this crate. [`Builder::open`] embeds an engine in another program. Only the module `compose` selects the
//! adapters for the ports.

mod autostart;
mod binding;
mod builder;
mod compose;
pub mod config;
mod config_verb;
mod dispatch;
mod doctor;
mod enclosing_shim;
mod failure;
mod init;
mod key_verb;
mod last_store;
mod location;
mod lock;
mod log;
mod longhaul;
mod panic_guard;
mod previous_node;
mod pytest_plugin;
mod reserve;
mod serve;
mod shim;
mod state_dir;
mod state_dir_guard;
mod state_dir_lookup;
mod store_adopt;
mod store_copy;
mod store_mark;
mod stores;
#[cfg(feature = "otel")]
mod telemetry;
mod token;
mod token_verb;
mod version;

pub use builder::Builder;
pub use compose::ComposeError;
pub use failure::ProgramError;
pub use location::CopiedStateDir;
pub use lock::{LockError, LockHolder, ManagerLock};
pub use longhaul::Longhaul;
pub use serve::{ListenError, ServeOptions, serve};
pub use state_dir::{PrivateError, StateDir, StateDirError};
pub use store_copy::CopyError;
pub use store_mark::MissingRecords;
pub use stores::{OpenedStore, StoreContext, Stores};
