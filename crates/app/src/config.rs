//! The configuration: layers of values, of which the topmost wins, and where each came from.
//!
//! From the bottom: defaults, the user's file, the project's files, the environment, flags. A project is somebody
//! else's text as often as not, so its files may tune limits but never say where state and store are or which program
//! is executed.

mod error;
mod file;
pub(crate) mod key;
mod kind;
mod layers;
mod listening;
mod nearest;
mod neighbourhood;
mod origin;
mod outgoing;
mod settings;
mod show;
mod sources;
mod stray;

pub use error::ConfigError;
pub use key::{KEYS, Key, Trust};
pub use kind::{Kind, Value};
pub use layers::{Layers, Setting};
pub use listening::{Listening, TlsFiles};
pub use neighbourhood::Neighbourhood;
pub use origin::Origin;
pub use outgoing::Outgoing;
pub use settings::{Containment, Settings, StoreChoice};
pub use show::{schema, show, show_json};
pub use sources::{Flags, Sources, user_file};
pub(crate) use sources::{PROJECT_FILE, PROJECT_STATE, state_of_user_file};
pub use stray::{Stray, strays};
