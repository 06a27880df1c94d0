//! The program `longhauld`: the configuration, the composition of the engine, and the manager.
//!
//! [`Builder::run_manager`] is the program `longhauld`. [`Builder::run`] executes the commands of the client too, which it
//! passes to `longhaul_cli`. [`Builder::open`] embeds an engine in another program. Only the module `compose` selects the
//! adapters for the ports.

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
mod private_file;
mod pytest_plugin;
mod reserve;
mod serve;
mod shim;
mod state_dir_guard;
mod store_adopt;
mod store_copy;
mod store_mark;
mod stores;
#[cfg(feature = "otel")]
mod telemetry;
mod token;
mod token_verb;

pub use builder::Builder;
pub use compose::ComposeError;
pub use failure::ProgramError;
pub use location::CopiedStateDir;
pub use lock::{LockError, LockHolder, ManagerLock};
pub use longhaul::Longhaul;
pub use longhaul_client::{StateDir, StateDirError};
pub use private_file::PrivateError;
pub use serve::{ListenError, ServeOptions, serve};
pub use store_copy::CopyError;
pub use store_mark::MissingRecords;
pub use stores::{OpenedStore, StoreContext, Stores};
