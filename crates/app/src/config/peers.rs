//! Configuration of the connections between the nodes of a cluster.

use crate::config::error::ConfigError;
use crate::config::key::{ConfigKey, key_of};
use crate::config::layers::{ConfigEntry, Layers};
use crate::config::origin::ValueOrigin;
use crate::config::settings::{flag, path, text};
use std::path::{Path, PathBuf};

/// Configuration key for the address at which other nodes reach this node.
const ADDRESS: &ConfigKey = key_of!("node.address");

/// Configuration of the connections between the nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerSettings {
    /// Address at which other nodes reach this node. `None` if no address is configured.
    pub address: Option<String>,
    /// File with the CA certificates that verify other nodes. With `None`, the certificates that this machine trusts
    /// are used.
    pub authorities: Option<PathBuf>,
    /// True if output and input may be sent over the network without encryption.
    pub in_the_clear: bool,
}

impl PeerSettings {
    pub(super) fn of(layers: &Layers, state_dir: &Path) -> Result<Self, ConfigError> {
        let path = |key| path(layers, state_dir, key);
        Ok(Self {
            address: address(layers)?,
            authorities: path(key_of!("node.peer_ca_file")),
            in_the_clear: flag(layers, key_of!("node.insecure_peers")),
        })
    }
}

fn address(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let Some(said) = text(layers, ADDRESS).filter(|said| !said.is_empty()) else { return Ok(None) };
    let is_host = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    };
    let is_address = match said.split_once("://") {
        Some(("https" | "http", host)) => is_host(host),
        Some(("http+unix", path)) => path.starts_with('/') && !path.contains(char::is_whitespace),
        Some(_) | None => false,
    };
    if is_address {
        return Ok(Some(said.to_owned()));
    }
    let origin =
        layers.setting(ADDRESS).map_or(ValueOrigin::Default, |ConfigEntry { origin, .. }| origin.clone());
    Err(ConfigError::BadValue {
        key: ADDRESS.name.to_owned(),
        text: format!("{said:?}"),
        origin: Box::new(origin),
        why: "the value is not the address of a node".to_owned(),
        help: "give https://HOST:PORT, the address at which other nodes reach this manager".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::ConfigSources;

    #[test]
    fn address_is_a_host_or_a_socket() {
        let of = |lines: &str| {
            let top = tempfile::tempdir().unwrap();
            let path = top.path().join("config.toml");
            std::fs::write(&path, lines).unwrap();
            let sources = ConfigSources { user_file: Some(path), ..ConfigSources::default() };
            PeerSettings::of(&sources.read().unwrap(), Path::new("/state"))
        };
        for address in ["https://b.example:7777", "http://[::1]:9", "http+unix:///run/b"] {
            let found = of(&format!("node.address = \"{address}\"\n")).unwrap();
            assert_eq!(found.address.as_deref(), Some(address));
        }
        for address in
            ["b.example:7777", "https://", "https://b/path", "http+unix://b", "ftp://b", "https://a b"]
        {
            assert!(of(&format!("node.address = \"{address}\"\n")).is_err(), "{address}");
        }
        assert_eq!(of("").unwrap(), PeerSettings::default());
    }
}
