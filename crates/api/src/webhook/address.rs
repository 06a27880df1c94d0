//! Parses webhook URLs and compares them with the allowed addresses.

use std::fmt;

/// URL of a webhook receiver, split into parts that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAddress {
    scheme: WebhookScheme,
    /// Host name in lower case. An IPv6 address includes its brackets.
    host: String,
    port: u16,
    /// Path of the URL from the first slash on, without the query.
    path: String,
    query: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WebhookScheme {
    Http,
    Https,
}

/// Reason why a text is not a valid webhook URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(&'static str);

impl WebhookAddress {
    /// Parses an `http` or `https` URL. The parser refuses everything that two URL parsers could interpret differently:
    /// user names, backslashes, `.` and `..` in the path, spaces and non-ASCII characters.
    ///
    /// # Errors
    /// Returns [`BadAddress`] if the URL is invalid.
    pub fn new(text: &str) -> Result<Self, BadAddress> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>')) {
            return Err(BadAddress("the URL contains a character that is not allowed"));
        }
        let (scheme, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (WebhookScheme::Https, rest),
            (None, Some(rest)) => (WebhookScheme::Http, rest),
            (None, None) => return Err(BadAddress("the URL must start with https:// or http://")),
        };
        if rest.contains('#') {
            return Err(BadAddress("the URL contains a fragment, which is never sent"));
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (host, port) = host_and_port(authority)?;
        check_path(path)?;
        let port = port.unwrap_or(match scheme {
            WebhookScheme::Http => 80,
            WebhookScheme::Https => 443,
        });
        Ok(Self { scheme, host, port, path: path.to_owned(), query })
    }

    /// Returns true if `allowed` covers this address. Scheme, host and port must be equal, and the path must be equal
    /// to the allowed path or below it.
    #[must_use]
    pub fn is_within(&self, allowed: &Self) -> bool {
        let prefix = allowed.path.trim_end_matches('/');
        let below =
            self.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (self.scheme, &self.host, self.port) == (allowed.scheme, &allowed.host, allowed.port) && below
    }
}

impl fmt::Display for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            WebhookScheme::Http => "http",
            WebhookScheme::Https => "https",
        };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), BadAddress> {
    if authority.contains('@') {
        return Err(BadAddress("the URL contains a user name"));
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, after)) => {
            if inner.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(BadAddress("the host is not a valid IPv6 address"));
            }
            (format!("[{inner}]"), after)
        }
        None => match authority.find(':') {
            Some(colon) => (
                authority.get(..colon).unwrap_or_default().to_owned(),
                authority.get(colon..).unwrap_or_default(),
            ),
            None => (authority.to_owned(), ""),
        },
    };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if host.is_empty() || !(is_name || host.starts_with('[')) {
        return Err(BadAddress("the URL contains no host"));
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err(BadAddress("the host must be followed by a port or a path")),
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            Ok(_) | Err(_) => return Err(BadAddress("the port must be from 1 to 65535")),
        },
        Some(_) => return Err(BadAddress("the port is not a number")),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Refuses `.` and `..` in the path, because they could lead out of an allowed path. Percent-encoded forms are refused
/// too, because some receivers decode them.
fn check_path(path: &str) -> Result<(), BadAddress> {
    let lower = path.to_ascii_lowercase();
    let hides = ["%2e", "%2f", "%5c"].iter().any(|hidden| lower.contains(hidden));
    if hides || path.split('/').any(|step| step == "." || step == "..") {
        return Err(BadAddress("the path contains steps such as `..`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_within(address: &str, allowed: &str) -> bool {
        WebhookAddress::new(address).unwrap().is_within(&WebhookAddress::new(allowed).unwrap())
    }

    #[test]
    fn scheme_host_and_port_are_the_same_and_the_path_is_below() {
        for (address, allowed) in [
            ("https://example.com", "https://example.com"),
            ("https://EXAMPLE.com:443/", "https://example.com"),
            ("https://example.com/hooks/a?b=c", "https://example.com/hooks"),
            ("https://example.com/hooks", "https://example.com/hooks/"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/x", "http://[::1]:8080"),
        ] {
            assert!(is_within(address, allowed), "{address} {allowed}");
        }
        for (address, allowed) in [
            ("http://example.com", "https://example.com"),
            ("https://example.com:444", "https://example.com"),
            ("https://example.com.evil.org", "https://example.com"),
            ("https://evil-example.com", "https://example.com"),
            ("https://sub.example.com", "https://example.com"),
            ("https://example.com/hooksy", "https://example.com/hooks"),
            ("https://example.com/Hooks", "https://example.com/hooks"),
            ("https://example.com/", "https://example.com/hooks"),
            ("https://example.com?/hooks", "https://example.com/hooks"),
            ("http://localhost", "http://127.0.0.1"),
        ] {
            assert!(!is_within(address, allowed), "{address} {allowed}");
        }
    }

    #[test]
    fn ambiguous_url_is_refused() {
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///x",
            "https://a@b",
            "https://a:b@c/",
            "https://a\\@b",
            "https://a/../b",
            "https://a/%2e%2E/b",
            "https://a/./b",
            "https://a/b%2fc",
            "https://a b",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://a:",
            "https://[::1",
            "https://[a]",
            "https://[::1]x",
            "https://a#b",
            "https://größe.de",
            "https://a\n",
            "HTTPS://a",
            "https://a_b",
            "https://%61",
        ] {
            assert!(WebhookAddress::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_address_matches_an_entry_for_another_address(text in "(https?://)?[a-z.@:/\\\\?#\\[\\]%0-9-]{0,40}") {
            let allowed = WebhookAddress::new("https://example.com:8443/hooks").unwrap();
            if let Ok(address) = WebhookAddress::new(&text)
                && address.is_within(&allowed)
            {
                prop_assert!(text.starts_with("https://example.com:8443/hooks"));
            }
        }

        #[test]
        fn an_address_is_read_as_it_is_written(text in "https?://[a-z0-9.-]{1,10}(:[1-9][0-9]{0,3})?(/[a-z]{0,3}){0,3}(\\?[a-z=&]{0,5})?") {
            let address = WebhookAddress::new(&text).unwrap();
            prop_assert_eq!(WebhookAddress::new(&address.to_string()).unwrap(), address);
        }
    }
}
