//! Advice on mistakes in the URL of a shared store, derived from the connection error.

/// Returns advice on a URL, derived from the text of its connection error. Returns `None` if the text matches no known
/// mistake.
pub(crate) fn advice(url: &str, why: &str) -> Option<&'static str> {
    let is_tls = ["rediss:", "valkeys:"].iter().any(|scheme| url.starts_with(scheme));
    let says = |words: &str| why.contains(words);
    if says("DB index is out of range") {
        return Some(
            "the server has fewer databases (setting `databases`) than the URL requires; database /0 always \
                     exists",
        );
    }
    if says("unknown command") && says("'CONFIG'") {
        return Some("if the server is a sentinel, use redis+sentinel://HOST:PORT/NAME");
    }
    if says("MOVED") {
        return Some(
            "the server is part of a cluster, and another shard contains the namespace; use \
             redis+cluster://HOST:PORT",
        );
    }
    if says("cluster support disabled") {
        return Some("the server is not part of a cluster; use redis://HOST:PORT");
    }
    if says("MasterNameNotFoundBySentinel") {
        return Some(
            "the sentinels do not know this name; use the first word after `sentinel monitor` in their configuration",
        );
    }
    if says("does not point to a sentinel") {
        return Some(
            "the server is not a sentinel; use redis://HOST:PORT for a server, or give the port of a sentinel \
             (26379)",
        );
    }
    if is_tls && says("timed out") {
        return Some(
            "check that the server accepts TLS on this port (setting `tls-port`); use redis:// to connect without \
             TLS",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_errors_for_a_wrong_url_have_specific_advice() {
        let advice = |url: &str, why: &str| advice(url, why).unwrap_or_default();
        let range =
            "Redis server refused to switch database - Server(ResponseError): DB index is out of range";
        assert!(advice("redis://h/99", range).contains("/0"));
        let sentinel =
            "ResponseError: unknown command 'CONFIG', with args beginning with: 'GET' 'appendfsync' ";
        assert!(advice("redis://h:26379", sentinel).contains("redis+sentinel://"));
        let name = "Master with given name not found in sentinel - MasterNameNotFoundBySentinel";
        assert!(advice("redis+sentinel://h/unknown", name).contains("sentinel monitor"));
        let server = "Address does not point to a sentinel node - InvalidClientConfig";
        assert!(advice("redis+sentinel://h:6379/main", server).contains("not a sentinel"));
        assert!(advice("rediss://h:6379", "timed out").contains("tls-port"));
        assert_eq!(advice("redis://h:6379", "timed out"), "");
    }
}
