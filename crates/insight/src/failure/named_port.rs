//! Finds the port in an error message about a port that is in use.

use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Kind of the errors which say that a port is in use.
pub const PORT_IN_USE: &str = "port_in_use";

/// Notations of a port. A port can follow an IPv4 address, an IPv6 address in brackets, a host or `*`. A port can also
/// be written as `:::3000`, `:8080`, `port 8080` or `port: 8080`, or be the second value of `('0.0.0.0', 8000)`.
static PORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)(?:
            (?:\b\d{1,3}(?:\.\d{1,3}){3} | \[[0-9a-fA-F:.%a-z]*\] | \blocalhost | \*) : (?P<host>\d{1,5}) \b
            | (?:^|[\s"'(]) (?: ::: | : ) (?P<bare>\d{1,5}) \b
            | \b(?i:port) :? \s* (?P<word>\d{1,5}) \b
            | ['"] , \s (?P<pair>\d{1,5}) (?: , \s \d+ )* \)
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
/// assert_eq!(named_port("listen tcp :8080: bind: address already in use"), Some(8080));
/// assert_eq!(named_port("OSError: [Errno 98] Address already in use"), None);
/// ```
#[must_use]
pub fn named_port(message: &str) -> Option<u16> {
    let mut ports = BTreeSet::new();
    for found in PORT.as_ref()?.captures_iter(message) {
        let text = ["host", "bare", "word", "pair"].into_iter().find_map(|name| found.name(name))?.as_str();
        ports.extend(text.parse::<u16>().ok().filter(|port| *port > 0));
    }
    let first = ports.pop_first()?;
    ports.is_empty().then_some(first)
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
            assert_eq!(named_port(message), port, "{message}");
        }
    }
}
