//! Checks the addresses of other nodes. They are not trusted, because every client of the store can write them.

/// Kind of address to which requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerAddress {
    /// A socket on this machine that belongs to the same user.
    Socket,
    /// A host and port in the network.
    Network,
}

/// Maximum length of an address, in bytes.
const MAX_ADDRESS_LEN: usize = 1_024;

impl PeerAddress {
    /// Checks the address of a node. Plain HTTP to other machines is refused unless `may_be_read_by_others` is set.
    pub(super) fn of(address: &str, may_be_read_by_others: bool) -> Result<Self, &'static str> {
        if address.len() > MAX_ADDRESS_LEN || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the address is empty or not valid");
        }
        if let Some(path) = address.strip_prefix("http+unix://") {
            return if path.starts_with('/') {
                Ok(Self::Socket)
            } else {
                Err("the address contains no path of a socket")
            };
        }
        if let Some(rest) = address.strip_prefix("https://") {
            return check_host(rest).map(|()| Self::Network);
        }
        let Some(rest) = address.strip_prefix("http://") else {
            return Err("the scheme must be https, http or http+unix");
        };
        check_host(rest)?;
        if may_be_read_by_others || is_loopback(rest) {
            return Ok(Self::Network);
        }
        Err("plain http can be read by others on the network; give an https address")
    }
}

/// Checks that a text contains only a host and a port.
fn check_host(rest: &str) -> Result<(), &'static str> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if rest.is_empty() || !rest.chars().all(is_host) {
        return Err("the address must consist of scheme, host and port");
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_and_sockets_are_asked_and_in_the_clear_only_this_machine() {
        let way = |address: &str| PeerAddress::of(address, false).ok();
        assert_eq!(way("http+unix:///run/longhaul/socket"), Some(PeerAddress::Socket));
        for address in
            ["https://b.example:7777", "https://10.0.0.7:7777", "http://127.0.0.1:9", "http://[::1]:9"]
        {
            assert_eq!(way(address), Some(PeerAddress::Network), "{address}");
        }
        for address in [
            "",
            "b.example:7777",
            "ftp://b.example",
            "file:///etc/passwd",
            "http+unix://relative",
            "https://",
            "https://me:secret@b.example",
            "https://b.example/path",
            "https://b.example?x",
            "https://b.example\r\nx: y",
            "http://10.0.0.7:7777",
            "http://localhost.evil.example:9",
            "http://127.0.0.1.evil.example:9",
        ] {
            assert_eq!(way(address), None, "{address}");
        }
        assert_eq!(PeerAddress::of("http://10.0.0.7:7777", true), Ok(PeerAddress::Network));
        assert_eq!(way(&format!("https://{}", "a".repeat(2_000))), None);
    }
}
