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
mod notifications;
mod origin;
mod peers;
mod settings;
mod show;
mod sources;
mod unknown_env;

pub use error::ConfigError;
pub use key::{ConfigKey, KEYS, KeyAuthority};
pub use kind::{ConfigValue, ValueKind};
pub use layers::{ConfigEntry, Layers};
pub use listening::{ListenSettings, ListenTlsFiles};
pub use notifications::NotificationSettings;
pub use origin::ValueOrigin;
pub use peers::PeerSettings;
pub use settings::{ContainmentSetting, ManagerConfig, StoreChoice};
pub use show::{schema, show, show_json};
pub use sources::{ConfigSources, Flags, user_file};
pub(crate) use sources::{PROJECT_FILE, PROJECT_STATE, state_of_user_file};
pub use unknown_env::{UnknownVariable, strays};
