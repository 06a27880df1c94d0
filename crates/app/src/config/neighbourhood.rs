//! How the nodes that share a store reach each other.

use crate::config::error::ConfigError;
use crate::config::layers::{Layers, Setting};
use crate::config::origin::Origin;
use crate::config::settings::{flag, text};
use longhaul_api::PeerKeys;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file of the secret that nodes share.
const KEY_FILE: &str = "node.peer_key_file";
/// Where others reach this node.
const ADDRESS: &str = "node.address";
/// How long a secret is.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=512;

/// How the nodes that share a store reach each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbourhood {
    /// Where others reach this node, if that was said.
    pub address: Option<String>,
    /// What nodes prove to each other over the network.
    pub keys: Option<PeerKeys>,
    /// The certificates that are trusted, if not those of this machine.
    pub authorities: Option<PathBuf>,
    /// Output and input may cross the network in the clear.
    pub in_the_clear: bool,
}

impl Neighbourhood {
    pub(super) fn of(layers: &Layers, state_dir: &Path) -> Result<Self, ConfigError> {
        let path = |key| text(layers, key).filter(|path| !path.is_empty()).map(|path| state_dir.join(path));
        Ok(Self {
            address: address(layers)?,
            keys: path(KEY_FILE).map(|file| keys(layers, &file)).transpose()?,
            authorities: path("node.peer_authorities"),
            in_the_clear: flag(layers, "node.insecure_peers"),
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
    let help = "give https://HOST:PORT, as other nodes reach what listen.addresses says";
    Err(bad(layers, ADDRESS, said, "it is no address of a node".to_owned(), help.to_owned()))
}

fn keys(layers: &Layers, file: &Path) -> Result<PeerKeys, ConfigError> {
    let shown = file.display().to_string();
    let refused = |why: String, help: String| bad(layers, KEY_FILE, &shown, why, help);
    let unreadable = |error: std::io::Error| {
        refused(error.to_string(), "make one, and copy it to every node: openssl rand -hex 32".to_owned())
    };
    let mut opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.mode();
    if mode & 0o077 != 0 {
        return Err(refused("others may read it".to_owned(), format!("chmod 600 {shown}")));
    }
    let mut secret = String::new();
    let most = u64::try_from(*LENGTHS.end()).unwrap_or(u64::MAX).saturating_add(64);
    opened.by_ref().take(most).read_to_string(&mut secret).map_err(unreadable)?;
    let secret = secret.trim();
    let length = secret.len();
    if !LENGTHS.contains(&length) {
        let help = format!("a secret has {} to {} characters", LENGTHS.start(), LENGTHS.end());
        return Err(refused(format!("it holds {length} characters"), help));
    }
    PeerKeys::new(vec![secret.as_bytes().to_vec()])
        .ok_or_else(|| refused("it is empty".to_owned(), "openssl rand -hex 32".to_owned()))
}

fn bad(layers: &Layers, key: &str, text: &str, why: String, help: String) -> ConfigError {
    let origin = layers.setting(key).map_or(Origin::Default, |Setting { origin, .. }| origin.clone());
    ConfigError::BadValue {
        key: key.to_owned(),
        text: format!("{text:?}"),
        origin: Box::new(origin),
        why,
        help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::Sources;
    use std::os::unix::fs::PermissionsExt as _;

    fn of(lines: &str, state_dir: &Path) -> Result<Neighbourhood, ConfigError> {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        std::fs::write(&path, lines).unwrap();
        let sources = Sources { user_file: Some(path), ..Sources::default() };
        Neighbourhood::of(&sources.read()?, state_dir)
    }

    #[test]
    fn secret_is_long_enough_and_nobody_elses_to_read() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("peers");
        let line = "node.peer_key_file = \"peers\"\n";
        let why = || of(line, state.path()).unwrap_err().why().unwrap();
        assert!(why().contains("No such file"), "{}", why());
        for (text, mode, expected) in [
            ("x".repeat(64), 0o644, "others may read it"),
            ("x".repeat(31), 0o600, "31 characters"),
            ("x".repeat(513), 0o600, "513 characters"),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(why().contains(expected), "{}", why());
        }
        std::fs::write(&file, format!("{}\n", "y".repeat(64))).unwrap();
        let found = of(line, state.path()).unwrap();
        assert_eq!(found.keys, PeerKeys::new(vec!["y".repeat(64).into_bytes()]));
        assert!(!format!("{found:?}").contains("yyy"));
    }

    #[test]
    fn address_is_a_host_or_a_socket() {
        let state = Path::new("/state");
        for address in ["https://b.example:7777", "http://[::1]:9", "http+unix:///run/b"] {
            let found = of(&format!("node.address = \"{address}\"\n"), state).unwrap();
            assert_eq!(found.address.as_deref(), Some(address));
        }
        for address in
            ["b.example:7777", "https://", "https://b/path", "http+unix://b", "ftp://b", "https://a b"]
        {
            assert!(of(&format!("node.address = \"{address}\"\n"), state).is_err(), "{address}");
        }
        assert_eq!(of("", state).unwrap(), Neighbourhood::default());
    }
}
