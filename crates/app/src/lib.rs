//! The program `longhaul`: configuration, composition, and the manager itself.
//!
//! [`run`] does what the command line asks: verbs of a client go to `longhaul_cli`, everything about the manager is
//! here. `compose` alone knows which store and which spawner are behind the ports.

mod announce;
mod autostart;
mod compose;
pub mod config;
mod config_verb;
mod dispatch;
mod failure;
mod init;
mod lock;
mod log;
mod place;
mod serve;
mod shim;
mod state_dir;
mod store_copy;
mod version;
mod vital;

pub use compose::ComposeError;
pub use dispatch::run;
pub use failure::Failure;
pub use lock::{Holder, LockError, ManagerLock};
pub use serve::{Serve, serve};
pub use state_dir::{StateDir, StateDirError};
pub use store_copy::CopyError;
