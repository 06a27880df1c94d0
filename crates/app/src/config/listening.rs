//! Configuration of the network addresses on which a manager listens in addition to its socket.

use crate::config::error::ConfigError;
use crate::config::key::{ConfigKey, key_of};
use crate::config::layers::Layers;
use crate::config::origin::ValueOrigin;
use crate::config::settings::{flag, path};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Network addresses on which a manager listens in addition to its socket, with the rules for accepting clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenSettings {
    /// Listen addresses; port 0 selects a free port.
    pub addresses: Vec<SocketAddr>,
    /// Host names that clients may send in addition to the listen addresses, as `host` or `host:port` in lower case.
    pub hosts: Vec<String>,
    /// Origins of web pages that may send requests, as `scheme://host` or `scheme://host:port` in lower case.
    pub origins: Vec<String>,
    /// TLS certificate of the manager. `None` means connections without TLS.
    pub tls: Option<ListenTlsFiles>,
}

/// Files of a TLS certificate and its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTlsFiles {
    /// File with the certificate and its chain.
    pub certificate: PathBuf,
    /// File with the private key.
    pub key: PathBuf,
}

impl ListenSettings {
    pub(super) fn of(layers: &Layers, state_dir: &Path) -> Result<Self, ConfigError> {
        let tls = tls(layers, state_dir)?;
        let door = NetworkListen {
            allow_remote: flag(layers, key_of!("listen.allow_remote")),
            behind_proxy: flag(layers, key_of!("listen.insecure_behind_proxy")),
            tls: tls.is_some(),
        };
        Ok(Self {
            addresses: each(layers, key_of!("listen.addresses"), |text| {
                address(text).and_then(|address| door.take(address))
            })?,
            hosts: each(layers, key_of!("listen.hosts"), host)?,
            origins: each(layers, key_of!("listen.origins"), origin)?,
            tls,
        })
    }
}

/// Settings that decide whether the manager may listen on an address that other machines can reach.
#[derive(Clone, Copy, Debug)]
struct NetworkListen {
    allow_remote: bool,
    behind_proxy: bool,
    tls: bool,
}

/// Reason why a listen setting is refused, with advice for the user.
struct InvalidListen {
    why: &'static str,
    help: &'static str,
}

impl NetworkListen {
    fn take(self, address: SocketAddr) -> Result<SocketAddr, InvalidListen> {
        if address.ip().to_canonical().is_loopback() || self.behind_proxy {
            return Ok(address);
        }
        let refused = |why, help| Err(InvalidListen { why, help });
        match (self.allow_remote, self.tls) {
            (true, true) => Ok(address),
            (true, false) => refused(
                "other machines can reach this address, and tokens would cross the network without encryption",
                "give --tls-cert and --tls-key, or --insecure-behind-proxy if a TLS proxy is in front of the manager",
            ),
            (false, _) => refused(
                "other machines can reach this address",
                "listen on 127.0.0.1, or give --allow-remote with --tls-cert and --tls-key, or give \
                 --insecure-behind-proxy",
            ),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, InvalidListen> {
    let local = || {
        let port = text.strip_prefix("localhost:")?.parse().ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    text.parse().ok().or_else(local).ok_or(InvalidListen {
        why: "the address is not valid or has no port",
        help: "give an address such as 127.0.0.1:7337 or [::1]:7337; port 0 takes a free one",
    })
}

fn host(text: &str) -> Result<String, InvalidListen> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.contains(']') => (name, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    if is_name && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(InvalidListen {
        why: "the value is not a host name",
        help: "give the host name that clients send, such as \"longhaul.example.com\" or \"devbox:7337\"",
    })
}

fn origin(text: &str) -> Result<String, InvalidListen> {
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    match rest.map(host) {
        Some(Ok(_)) => Ok(lower),
        Some(Err(_)) | None => Err(InvalidListen {
            why: "the value is not the origin of a web page",
            help: "give scheme, host and port without a path, such as \"https://dash.example.com\"",
        }),
    }
}

fn tls(layers: &Layers, state_dir: &Path) -> Result<Option<ListenTlsFiles>, ConfigError> {
    let path = |key| path(layers, state_dir, key);
    let missing = |present: &str, key: &'static ConfigKey, help: &'static str| {
        let why = "the certificate and its private key must be set together";
        let origin = layers.setting(key).map_or(ValueOrigin::Default, |setting| setting.origin.clone());
        bad(key.name, present, origin, &InvalidListen { why, help })
    };
    match (path(key_of!("listen.tls_cert")), path(key_of!("listen.tls_key"))) {
        (Some(certificate), Some(key)) => Ok(Some(ListenTlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing("", key_of!("listen.tls_key"), "also give --tls-key")),
        (None, Some(_)) => Err(missing("", key_of!("listen.tls_cert"), "also give --tls-cert")),
    }
}

fn each<T>(
    layers: &Layers,
    key: &'static ConfigKey,
    read: impl Fn(&str) -> Result<T, InvalidListen>,
) -> Result<Vec<T>, ConfigError> {
    let Some(setting) = layers.setting(key) else { return Ok(Vec::new()) };
    let read = |text: &String| {
        read(text).map_err(|refused| setting.invalid(key.name, text, refused.why.to_owned(), refused.help))
    };
    setting.list().iter().map(read).collect()
}

fn bad(key: &str, text: &str, origin: ValueOrigin, refused: &InvalidListen) -> ConfigError {
    ConfigError::BadValue {
        key: key.to_owned(),
        text: format!("{text:?}"),
        origin: Box::new(origin),
        why: refused.why.to_owned(),
        help: refused.help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sources::{ConfigSources, Flags};

    #[test]
    fn loopback_needs_nothing_else() {
        let found = of("listen.addresses = [\"127.0.0.1:0\", \"[::1]:7337\", \"localhost:9\"]\n").unwrap();
        let texts: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["127.0.0.1:0", "[::1]:7337", "127.0.0.1:9"]);
        assert_eq!(of("").unwrap(), ListenSettings::default());
    }

    #[test]
    fn other_machines_get_in_only_over_tls_or_where_that_is_said_in_so_many_words() {
        for address in ["0.0.0.0:80", "[::]:80", "192.168.0.1:80", "[::ffff:10.0.0.1]:80"] {
            let read = |more: &str| of(&format!("[listen]\naddresses = [\"{address}\"]\n{more}"));
            let tls = "tls_cert = \"/c\"\ntls_key = \"/k\"\n";
            let refused = read("").unwrap_err();
            assert!(refused.help().unwrap().contains("--allow-remote"), "{refused:?}");
            assert!(read(tls).is_err(), "TLS alone is no wish to be reached");
            let refused = read("allow_remote = true\n").unwrap_err();
            assert!(refused.help().unwrap().contains("--tls-cert"), "{refused:?}");
            assert!(read(&format!("allow_remote = true\n{tls}")).is_ok());
            assert!(read("insecure_behind_proxy = true\n").is_ok());
        }
    }

    #[test]
    fn flags_and_the_environment_say_it_too() {
        let flags = Flags { listen: vec!["127.0.0.1:1".into(), "[::1]:2".into()], ..Flags::default() };
        let sources = ConfigSources { flags, ..ConfigSources::default() };
        let found = ListenSettings::of(&sources.read().unwrap(), Path::new("/state")).unwrap();
        assert_eq!(found.addresses.len(), 2);
        let mut sources = ConfigSources::default();
        sources.environment.insert("LONGHAUL_LISTEN_ADDRESSES".into(), "127.0.0.1:1, [::1]:2".into());
        assert_eq!(ListenSettings::of(&sources.read().unwrap(), Path::new("/state")).unwrap(), found);
    }

    #[test]
    fn invalid_addresses_hosts_and_origins_are_refused() {
        for line in [
            "addresses = [\":80\"]",
            "addresses = [\"example.com:80\"]",
            "addresses = [\"127.0.0.1\"]",
            "hosts = [\"*\"]",
            "hosts = [\"a b\"]",
            "hosts = [\"a:b\"]",
            "hosts = [\"\"]",
            "hosts = [\"http://a\"]",
            "origins = [\"null\"]",
            "origins = [\"*\"]",
            "origins = [\"https://a/\"]",
            "origins = [\"a:80\"]",
            "tls_cert = \"/c\"",
            "tls_key = \"/k\"",
        ] {
            assert!(of(&format!("[listen]\n{line}\n")).is_err(), "{line}");
        }
        let found = of("listen.hosts = [\"Dev:80\", \"[::1]\"]\nlisten.origins = [\"HTTPS://A.example\"]\n");
        let found = found.unwrap();
        assert_eq!(found.hosts, ["dev:80", "[::1]"]);
        assert_eq!(found.origins, ["https://a.example"]);
    }

    fn of(lines: &str) -> Result<ListenSettings, ConfigError> {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("config.toml");
        std::fs::write(&path, lines).unwrap();
        let sources = ConfigSources { user_file: Some(path), ..ConfigSources::default() };
        ListenSettings::of(&sources.read()?, Path::new("/state"))
    }
}
