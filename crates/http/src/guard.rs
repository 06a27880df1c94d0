//! Access control for network requests: checks host names, web origins, tokens and requests from other nodes.

mod peer;
mod rejection;
mod secret;

pub(crate) use peer::SignedBody;
pub(crate) use rejection::RequestRejection;
pub use secret::TokenDigest;

use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};
use longhaul_api::PeerGate;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

/// Access control for network requests.
///
/// A web page in the user's browser can reach every port on the loopback interface. If the owner of a page changes the
/// DNS entry of the page's host name to 127.0.0.1 (DNS rebinding), the page can even use its own host name for these
/// requests. A request is therefore accepted only if all of these conditions are met:
/// - its `Host` is one of the manager's own names,
/// - it does not come from a web page, or it comes from an allowed web page,
/// - its content type is one that an HTML form cannot send,
/// - it carries a valid token.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Additional host names of the manager, besides its address: `host` or `host:port`, in lower case.
    pub hosts: Vec<String>,
    /// Additional allowed web origins, besides the manager's own: `scheme://host` or `scheme://host:port`, in lower
    /// case.
    pub origins: Vec<String>,
    /// Verifier of access tokens.
    pub gate: Arc<dyn TokenVerifier>,
    /// Verifier of requests from other nodes of the cluster. If `None`, other nodes may not connect over the network.
    pub peers: Option<Arc<PeerGate>>,
}

/// Verifier of access tokens.
pub trait TokenVerifier: Debug + Send + Sync + 'static {
    /// Returns the access that a token grants, or `None` if the token is unknown. The time that this function takes
    /// must not depend on the token, so that it reveals nothing about valid tokens.
    fn admit(&self, token: &str) -> Option<Access>;
}

/// Access that a token grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Full access.
    Control,
    /// Permission for all requests that only read.
    ReadOnly,
}

/// Listener through which a request arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenerKind {
    /// Local address of the connection.
    pub(crate) local: SocketAddr,
    /// True if the connection uses TLS.
    pub(crate) secure: bool,
}

/// Path of the MCP endpoint for agents. Every MCP call is a POST, so the HTTP method does not show whether the call
/// changes a process or a record. The MCP service checks this for each tool.
pub(crate) const MCP: &str = "/mcp";
/// Maximum size of a request body for [`MCP`], in bytes.
pub(crate) const MAX_MCP_BODY_BYTES: u64 = 4 * 1024 * 1024;
/// Maximum size of any other request body, in bytes.
pub(crate) const MAX_BODY_BYTES: u64 = crate::body::MAX_BODY_BYTES as u64;
/// Header in which a browser describes where a request comes from if the request has no `Origin`, such as an image
/// request.
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Guard {
    /// Authenticates a request by its head. The error reveals to an unknown client only why the request was rejected.
    pub(crate) fn admit(&self, head: &Parts, door: ListenerKind) -> Result<Access, RequestRejection> {
        self.check_host(head, door)?;
        self.check_origin(&head.headers, door)?;
        self.check_token(&head.headers)
    }

    fn check_host(&self, head: &Parts, door: ListenerKind) -> Result<(), RequestRejection> {
        let named = only(&head.headers, &HOST).ok_or(RequestRejection::Host)?;
        let absolute = head.uri.authority().map(|authority| authority.as_str());
        if self.is_ours(named, door) && absolute.is_none_or(|name| self.is_ours(name, door)) {
            return Ok(());
        }
        Err(RequestRejection::Host)
    }

    /// Returns true if the host is exactly one of the manager's own names.
    fn is_ours(&self, host: &str, door: ListenerKind) -> bool {
        let host = host.to_ascii_lowercase();
        if self.hosts.contains(&host) {
            return true;
        }
        door.is_named(&host)
    }

    fn check_origin(&self, headers: &HeaderMap, door: ListenerKind) -> Result<(), RequestRejection> {
        if headers.contains_key(ORIGIN) {
            let origin = only(headers, &ORIGIN).ok_or(RequestRejection::Origin)?.to_ascii_lowercase();
            let is_allowed = self.origins.contains(&origin) || door.is_origin(&origin);
            return if is_allowed { Ok(()) } else { Err(RequestRejection::Origin) };
        }
        match headers.get(SITE).map(|site| site.as_bytes()) {
            None | Some(b"none" | b"same-origin") => Ok(()),
            Some(_) => Err(RequestRejection::Origin),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<Access, RequestRejection> {
        if !headers.contains_key(AUTHORIZATION) {
            return Err(RequestRejection::NoToken);
        }
        let token = only(headers, &AUTHORIZATION).and_then(bearer).ok_or(RequestRejection::BadToken)?;
        self.gate.admit(token).ok_or(RequestRejection::BadToken)
    }
}

impl Access {
    /// Checks that this access permits the request and that the request body is acceptable.
    pub(crate) fn check(self, head: &Parts) -> Result<(), RequestRejection> {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method);
        match self {
            Self::ReadOnly if !reads && head.uri.path() != MCP => return Err(RequestRejection::ReadOnly),
            Self::ReadOnly | Self::Control => {}
        }
        check_body(head)
    }
}

impl ListenerKind {
    /// Returns true if a host name in lower case is exactly a name of this listener.
    fn is_named(self, host: &str) -> bool {
        let local = SocketAddr::new(self.local.ip().to_canonical(), self.local.port());
        let ip = match local {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let default_port = if self.secure { 443 } else { 80 };
        let is = |name: &str| {
            host == format!("{name}:{}", local.port()) || (local.port() == default_port && host == name)
        };
        is(&ip) || (local.ip().is_loopback() && is("localhost"))
    }

    /// Returns true if the origin is this listener itself, so that the request comes from a page that the manager
    /// itself serves. Such a page needs a token like any other client.
    fn is_origin(self, origin: &str) -> bool {
        let scheme = if self.secure { "https://" } else { "http://" };
        origin.strip_prefix(scheme).is_some_and(|host| self.is_named(host))
    }
}

/// Checks that a body is declared as JSON and is not too large. An HTML form cannot send JSON. A web page can send JSON
/// to another origin only if that origin permits it in advance.
pub(crate) fn check_body(head: &Parts) -> Result<(), RequestRejection> {
    let headers = &head.headers;
    let length = match headers.contains_key(CONTENT_LENGTH) {
        true => {
            Some(only(headers, &CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX))
        }
        false => None,
    };
    let has_body = length.is_some_and(|length| length > 0) || headers.contains_key(TRANSFER_ENCODING);
    let is_json = only(headers, &CONTENT_TYPE)
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    if !is_json && (has_body || headers.contains_key(CONTENT_TYPE)) {
        return Err(RequestRejection::Kind);
    }
    let limit = if head.uri.path() == MCP { MAX_MCP_BODY_BYTES } else { MAX_BODY_BYTES };
    if length.is_some_and(|length| length > limit) {
        return Err(RequestRejection::TooLarge { limit });
    }
    Ok(())
}

/// Returns the value of a header. Returns `None` if the header is missing, repeated or not text.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    const CONTROL: &str = "control-token";
    const READ: &str = "read-token";

    #[test]
    fn only_the_exact_own_names_are_accepted() {
        for host in ["127.0.0.1:7337", "localhost:7337", "LOCALHOST:7337", "dev.example:80", "proxied"] {
            assert_eq!(check_headers(&[("host", host)]), Ok(Access::Control), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.2:7337",
            "evil.example:7337",
            "localhost.evil.example:7337",
            "localhost:7337.evil.example",
            "127.0.0.1:7337@evil.example",
            "evil.example:7337@127.0.0.1:7337",
            "localhost.:7337",
            "dev.example",
            "proxied:7337",
            "[::1]:7337",
            "127.1:7337",
        ] {
            assert_eq!(check_headers(&[("host", host)]), Err(RequestRejection::Host), "{host}");
        }
        assert_eq!(check_headers(&[]), Err(RequestRejection::Host));
        let twice = [("host", "127.0.0.1:7337"), ("host", "127.0.0.1:7337")];
        assert_eq!(check_headers(&twice), Err(RequestRejection::Host));
    }

    #[test]
    fn target_with_a_host_of_its_own_is_held_to_the_same() {
        let at = |target: &str| check(Request::get(target).header("host", "127.0.0.1:7337"), true, 7337);
        assert_eq!(at("http://localhost:7337/v1/health"), Ok(Access::Control));
        assert_eq!(at("http://evil.example:7337/v1/health"), Err(RequestRejection::Host));
        assert_eq!(at("http://me@127.0.0.1:7337/v1/health"), Err(RequestRejection::Host));
    }

    #[test]
    fn usual_port_need_not_be_named_by_its_own_scheme() {
        let at = |host: &str, secure: bool, port: u16| {
            let door = ListenerKind { local: SocketAddr::new([10, 0, 0, 1].into(), port), secure };
            guard().is_ours(host, door)
        };
        assert!(at("10.0.0.1", false, 80) && at("10.0.0.1", true, 443) && at("10.0.0.1:443", true, 443));
        assert!(!at("10.0.0.1", true, 80) && !at("10.0.0.1", false, 443));
        assert!(!at("localhost", false, 80), "only the loopback is local");
        let mapped = ListenerKind { local: "[::ffff:127.0.0.1]:9".parse().unwrap(), secure: false };
        assert!(guard().is_ours("127.0.0.1:9", mapped) && guard().is_ours("localhost:9", mapped));
        let six = ListenerKind { local: "[::1]:9".parse().unwrap(), secure: false };
        assert!(guard().is_ours("[::1]:9", six) && !guard().is_ours("::1:9", six));
    }

    #[test]
    fn web_pages_are_refused_but_its_own_and_those_that_were_named() {
        let from =
            |name: &'static str, value: &str| check_headers(&[("host", "localhost:7337"), (name, value)]);
        for own in ["http://localhost:7337", "http://127.0.0.1:7337", "HTTP://LOCALHOST:7337"] {
            assert_eq!(from("origin", own), Ok(Access::Control), "{own}");
        }
        let secure = ListenerKind { local: SocketAddr::new([10, 0, 0, 1].into(), 443), secure: true };
        assert!(secure.is_origin("https://10.0.0.1") && secure.is_origin("https://10.0.0.1:443"));
        assert!(!secure.is_origin("http://10.0.0.1:443") && !secure.is_origin("https://localhost"));
        assert_eq!(from("origin", "https://dash.example"), Ok(Access::Control));
        assert_eq!(from("origin", "https://DASH.example"), Ok(Access::Control));
        for origin in [
            "null",
            "",
            "https://dash.example.evil",
            "http://dash.example",
            "https://dash.example:443",
            "https://dash.example/",
            "http://localhost",
            "http://localhost:7338",
            "https://localhost:7337",
            "http://localhost:7337/",
            "http://localhost:7337.evil.example",
            "http://evil.example:7337",
            "http://me@localhost:7337",
            "http://127.0.0.2:7337",
            "http://proxied",
            "localhost:7337",
            "https://dash.example, https://dash.example",
        ] {
            assert_eq!(from("origin", origin), Err(RequestRejection::Origin), "{origin}");
        }
        let twice = [
            ("host", "localhost:7337"),
            ("origin", "https://dash.example"),
            ("origin", "https://dash.example"),
        ];
        assert_eq!(check_headers(&twice), Err(RequestRejection::Origin));
        for (site, expected) in [
            ("cross-site", Err(RequestRejection::Origin)),
            ("same-site", Err(RequestRejection::Origin)),
            ("strange", Err(RequestRejection::Origin)),
            ("same-origin", Ok(Access::Control)),
            ("none", Ok(Access::Control)),
        ] {
            assert_eq!(from("sec-fetch-site", site), expected, "{site}");
        }
    }

    #[test]
    fn token_is_wanted_once_and_as_bearer() {
        let with = |values: &[&str]| {
            let request = Request::get("/v1/health").header("host", "localhost:7337");
            let request =
                values.iter().fold(request, |request, value| request.header("authorization", *value));
            check(request, false, 7337)
        };
        assert_eq!(with(&["Bearer control-token"]), Ok(Access::Control));
        assert_eq!(with(&["bearer  control-token "]), Ok(Access::Control));
        assert_eq!(with(&["Bearer read-token"]), Ok(Access::ReadOnly));
        assert_eq!(with(&[]), Err(RequestRejection::NoToken));
        for value in
            ["control-token", "Basic control-token", "Bearer", "Bearer ", "Bearer control-toke", "Bearer x"]
        {
            assert_eq!(with(&[value]), Err(RequestRejection::BadToken), "{value}");
        }
        assert_eq!(with(&["Bearer control-token", "Bearer control-token"]), Err(RequestRejection::BadToken));
    }

    #[test]
    fn reading_token_changes_nothing() {
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).header("host", "localhost:7337");
            check(request.header("authorization", format!("Bearer {READ}")), false, 7337)
        };
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(ask(method, "/v1/processes"), Ok(Access::ReadOnly));
        }
        for method in ["POST", "PATCH", "PUT", "DELETE", "QUERY"] {
            assert_eq!(ask(method, "/v1/processes"), Err(RequestRejection::ReadOnly));
            assert_eq!(ask(method, "/mcp/../v1/processes"), Err(RequestRejection::ReadOnly));
        }
        assert_eq!(ask("POST", "/mcp"), Ok(Access::ReadOnly), "its tools are looked at one by one");
    }

    #[test]
    fn body_is_json_and_not_too_large() {
        let ask = |headers: &[(&str, &str)], path: &str| {
            let request = Request::post(path).header("host", "localhost:7337");
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            check(request, true, 7337)
        };
        let json = ("content-type", "application/json");
        assert_eq!(ask(&[], "/v1/reset"), Ok(Access::Control));
        assert_eq!(ask(&[("content-length", "0")], "/v1/reset"), Ok(Access::Control));
        assert_eq!(ask(&[json, ("content-length", "1048576")], "/v1/reset"), Ok(Access::Control));
        let charset = ("content-type", "Application/JSON; charset=utf-8");
        assert_eq!(ask(&[charset, ("transfer-encoding", "chunked")], "/v1/reset"), Ok(Access::Control));
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
        {
            for length in ["0", "2"] {
                let headers = [("content-type", kind), ("content-length", length)];
                assert_eq!(ask(&headers, "/v1/reset"), Err(RequestRejection::Kind), "{kind}");
                assert_eq!(ask(&headers, "/mcp"), Err(RequestRejection::Kind), "{kind}");
            }
        }
        assert_eq!(ask(&[("content-length", "2")], "/v1/reset"), Err(RequestRejection::Kind));
        assert_eq!(ask(&[("transfer-encoding", "chunked")], "/v1/reset"), Err(RequestRejection::Kind));
        assert_eq!(ask(&[json, json, ("content-length", "2")], "/v1/reset"), Err(RequestRejection::Kind));
        let large = |path, length| ask(&[json, ("content-length", length)], path);
        assert_eq!(large("/v1/reset", "1048577"), Err(RequestRejection::TooLarge { limit: 1 << 20 }));
        assert_eq!(large("/mcp", "1048577"), Ok(Access::Control));
        assert_eq!(large("/mcp", "4194305"), Err(RequestRejection::TooLarge { limit: 4 << 20 }));
        assert_eq!(large("/v1/reset", "-1"), Err(RequestRejection::TooLarge { limit: 1 << 20 }));
    }

    fn check_headers(headers: &[(&str, &str)]) -> Result<Access, RequestRejection> {
        let request = headers
            .iter()
            .fold(Request::get("/v1/health"), |request, (name, value)| request.header(*name, *value));
        check(request, true, 7337)
    }

    fn check(
        request: axum::http::request::Builder,
        token: bool,
        port: u16,
    ) -> Result<Access, RequestRejection> {
        let request = match token {
            true => request.header("authorization", format!("Bearer {CONTROL}")),
            false => request,
        };
        let (head, ()) = request.body(()).unwrap().into_parts();
        let door = ListenerKind { local: SocketAddr::new([127, 0, 0, 1].into(), port), secure: false };
        let access = guard().admit(&head, door)?;
        access.check(&head).map(|()| access)
    }

    fn guard() -> Guard {
        Guard {
            hosts: vec!["dev.example:80".into(), "proxied".into()],
            origins: vec!["https://dash.example".into()],
            gate: Arc::new(Two),
            peers: None,
        }
    }

    #[derive(Debug)]
    struct Two;

    impl TokenVerifier for Two {
        fn admit(&self, token: &str) -> Option<Access> {
            match token {
                CONTROL => Some(Access::Control),
                READ => Some(Access::ReadOnly),
                _ => None,
            }
        }
    }
}
