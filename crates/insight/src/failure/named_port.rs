//! Finds the port in an error message about a port that is in use.

use regex::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// Kind of the errors which say that a port is in use.
pub const PORT_IN_USE: &str = "port_in_use";

/// A port in an error message, and the local addresses that the program may have tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// Port.
    pub port: u16,
    /// Addresses; empty if the message names no address. The unspecified address stands for all addresses.
    pub addresses: Vec<IpAddr>,
}

/// Notations of a port. A port can follow an IPv4 address, an IPv6 address in brackets, a host or `*`. A port can also
/// be written as `:::3000`, `:8080`, `port 8080` or `port: 8080`, or be the second value of `('0.0.0.0', 8000)`.
static PORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)(?:
            (?P<address>\b\d{1,3}(?:\.\d{1,3}){3} | \[[0-9a-fA-F:.%a-z]*\] | \blocalhost | \*) : (?P<host>\d{1,5}) \b
            | (?:^|[\s"'(]) (?: ::: | : ) (?P<bare>\d{1,5}) \b
            | \b(?i:port) :? \s* (?P<word>\d{1,5}) \b
            | (?: ['"] (?P<first>[0-9a-fA-F:.]*) )? ['"] , \s (?P<pair>\d{1,5}) (?: , \s \d+ )* \)
        )"#,
    )
    .ok()
});

/// Returns the port that a message names. Returns `None` if the message names no port or several ports.
///
/// # Examples
///
/// ```
/// use longhaul_insight::failure::named_port;
///
/// let named = named_port("listen tcp 127.0.0.1:8080: bind: address already in use");
/// assert_eq!(named.map(|named| (named.port, named.addresses)), Some((8080, vec![[127, 0, 0, 1].into()])));
/// assert_eq!(named_port("OSError: [Errno 98] Address already in use"), None);
/// ```
#[must_use]
pub fn named_port(message: &str) -> Option<NamedPort> {
    let mut named: Option<NamedPort> = None;
    for found in PORT.as_ref()?.captures_iter(message) {
        let (notation, text) =
            ["host", "bare", "word", "pair"].into_iter().find_map(|name| Some((name, found.name(name)?)))?;
        let Some(port) = text.as_str().parse::<u16>().ok().filter(|port| *port > 0) else { continue };
        let address = found.name("address").or_else(|| found.name("first")).map(|text| text.as_str());
        let addresses = match (notation, address) {
            ("bare", _) => vec![Ipv6Addr::UNSPECIFIED.into()],
            (_, Some(address)) => addresses_of(address),
            (_, None) => Vec::new(),
        };
        let named = named.get_or_insert(NamedPort { port, addresses: Vec::new() });
        if named.port != port {
            return None;
        }
        named.addresses.extend(addresses);
    }
    named
}

/// Returns the addresses for which a host name or an address in a message stands.
fn addresses_of(host: &str) -> Vec<IpAddr> {
    match host {
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        "*" | "[::]" | "::" => vec![Ipv6Addr::UNSPECIFIED.into()],
        _ => {
            let inner = host.trim_matches(['[', ']']).split('%').next().unwrap_or_default();
            inner.parse::<IpAddr>().map(|address| address.to_canonical()).into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_read_from_the_messages_of_common_programs() {
        for (message, port) in [
            ("Error: listen EADDRINUSE: address already in use :::3000", Some(3000)),
            ("Error: listen EADDRINUSE: address already in use 127.0.0.1:3000", Some(3000)),
            ("main.go:12: listen tcp :8080: bind: address already in use", Some(8080)),
            ("listen tcp4 0.0.0.0:80: bind: address already in use", Some(80)),
            ("listen tcp [::1]:8443: bind: address already in use", Some(8443)),
            (
                "[Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
                Some(8000),
            ),
            (
                "[Errno 98] error while attempting to bind on address ('::1', 8000, 0, 0): address already in use",
                Some(8000),
            ),
            ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", Some(80)),
            ("Bind for 0.0.0.0:5432 failed: port is already allocated", Some(5432)),
            ("ERROR: could not bind to port 5432: Address already in use", Some(5432)),
            ("OSError: [Errno 98] Address already in use", None),
            ("Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }", None),
            ("proxy 127.0.0.1:80 to 127.0.0.1:81: address already in use", None),
            ("port 99999: address already in use", None),
            ("server.js:12:3 address already in use", None),
        ] {
            assert_eq!(named_port(message).map(|named| named.port), port, "{message}");
        }
    }

    #[test]
    fn addresses_that_the_program_tried_are_read() {
        for (message, addresses) in [
            ("listen EADDRINUSE: address already in use :::3000", &["::"][..]),
            ("listen EADDRINUSE: address already in use 127.0.0.1:3000", &["127.0.0.1"]),
            ("listen tcp :8080: bind: address already in use", &["::"]),
            ("listen tcp [::1]:8443: bind: address already in use", &["::1"]),
            ("bind to localhost:3000: address already in use", &["127.0.0.1", "::1"]),
            ("bind on address ('0.0.0.0', 8000): address already in use", &["0.0.0.0"]),
            ("bind on address ('::1', 8000, 0, 0): address already in use", &["::1"]),
            ("bind on address ('', 8000): address already in use", &[]),
            ("could not bind to port 5432: Address already in use", &[]),
            ("port 3000: listen 127.0.0.2:3000: address already in use", &["127.0.0.2"]),
        ] {
            let found = named_port(message).unwrap().addresses;
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, addresses, "{message}");
        }
    }
}
