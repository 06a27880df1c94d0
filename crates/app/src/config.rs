//! The configuration. Its values come from several layers, and each value has its origin. A higher layer overrides the
//! layers below it.
//!
//! The layers are, from lowest to highest: defaults, the user's file, the project files, the environment, and flags. A
//! project may come from an untrusted author. Its files may therefore change limits, but not the location of the state
//! directory or the store, and not the programs that are executed.

mod entry_table;
mod error;
mod failure_rules;
mod file;
pub(crate) mod key;
mod kind;
mod layers;
mod listening;
mod nearest;
mod notifications;
mod origin;
mod peers;
mod runners;
mod settings;
mod show;
mod sources;
mod unknown_env;

pub use error::ConfigError;
pub use failure_rules::{FailureRules, RulesFault};
pub use key::{ConfigKey, KEYS, KeyAuthority};
pub use kind::{ConfigValue, ValueKind};
pub use layers::{ConfigEntry, Layers};
pub use listening::{ListenSettings, ListenTlsFiles};
pub use longhaul_wire::store::StoreChoice;
pub use notifications::NotificationSettings;
pub use origin::ValueOrigin;
pub use peers::PeerSettings;
pub use runners::RunnerConfig;
pub use settings::{ContainmentSetting, ManagerConfig};
pub use show::{schema, show, show_json};
pub use sources::{ConfigSources, Flags};
pub use unknown_env::{UnknownVariable, strays};
