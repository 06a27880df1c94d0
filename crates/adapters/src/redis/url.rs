//! Parses store URLs.

#[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
use super::endpoint::UnguardedFailover;
use super::endpoint::{Endpoint, EndpointError};
use super::options::RedisOptions;
use super::{Durability, LeaseTimes, RedisTlsFiles, TlsClient, TlsFault, UnknownDurability};
use std::path::PathBuf;
use std::time::Duration;

/// Query parameters that are passed on to the Redis client.
const FOR_THE_CONNECTION: [&str; 4] = ["db", "user", "pass", "protocol"];
/// Maximum length of a namespace name, in bytes.
const MAX_NAMESPACE_LEN: usize = 64;

/// Reason why a store URL is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// The durability is invalid.
    #[error(transparent)]
    Durability(#[from] UnknownDurability),
    /// The namespace contains characters that key names must not have.
    #[error("the namespace {namespace:?} must have 1 to 64 letters, digits, `-`, `_` or `.`")]
    Namespace {
        /// The invalid name of the namespace.
        namespace: String,
    },
    /// The URL has an unknown parameter, which may be misspelt.
    #[error(
        "{name:?} is not a parameter of a store URL; the parameters are namespace, durability, lease, grace, \
         on_outage, ca, cert, key, db, user and pass"
    )]
    Unknown {
        /// Name of the parameter. The value is omitted because it may be a password.
        name: String,
    },
    /// The URL has no valid server address.
    #[error("the URL of the store has no valid server address: {why}")]
    Place {
        /// Reason why the address is invalid.
        why: String,
    },
    /// A file for the TLS connection cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The durability is not possible with sentinels or a cluster.
    #[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
    #[error(transparent)]
    Alone(#[from] UnguardedFailover),
    /// Only one of `cert` and `key` is given.
    #[error(
        "the URL parameters `cert` and `key` must be given together: the file of a certificate and the \
        file of its private key"
    )]
    HalfClient,
    /// The parameter `on_outage` has an unknown value.
    #[error("`on_outage={text}` is not valid: use `reject` or `run`")]
    OnOutage {
        /// The invalid value of the parameter.
        text: String,
    },
    /// A time is not a valid number of seconds.
    #[error("{name}={text} is not a number of seconds from 1 to 86400")]
    Time {
        /// Name of the parameter.
        name: String,
        /// The invalid value of the parameter.
        text: String,
    },
}

impl RedisOptions {
    /// Parses a store URL. These query parameters belong to the store:
    /// - `namespace`;
    /// - `durability`: `cache`, `single` or `replicated:COUNT`;
    /// - `lease` and `grace`, in seconds;
    /// - `on_outage`: `reject` or `run` launches during an outage of the server;
    /// - `ca`, `cert` and `key`: files for TLS.
    ///
    /// The parameters `db`, `user`, `pass` and `protocol` are passed on to the connection.
    ///
    /// # Errors
    /// If a value is invalid, a parameter is unknown, the server address is missing, or a TLS file cannot be read.
    pub fn of_url(url: &str) -> Result<Self, RedisUrlError> {
        let options = Self::read(url)?;
        Endpoint::of(&options).map_err(|misplaced| match misplaced {
            EndpointError::Url(error) => RedisUrlError::Place { why: error.to_string() },
            EndpointError::Tls(fault) => RedisUrlError::Tls(fault),
            #[cfg(any(feature = "redis-sentinel", feature = "redis-cluster"))]
            EndpointError::Alone(why) => RedisUrlError::Alone(why),
        })?;
        Ok(options)
    }

    fn read(url: &str) -> Result<Self, RedisUrlError> {
        let Some((place, query)) = url.split_once('?') else {
            return Ok(Self::at(url));
        };
        let mut options = Self::at(place);
        let mut times = LeaseTimes::default();
        let (mut authorities, mut certificate, mut key) = (None, None, None);
        let mut others = Vec::new();
        for part in query.split('&') {
            match part.split_once('=') {
                Some(("namespace", namespace)) => options.namespace = checked(namespace)?,
                Some(("on_outage", "reject")) => options.runs_during_outage = false,
                Some(("on_outage", "run")) => options.runs_during_outage = true,
                Some(("on_outage", text)) => return Err(RedisUrlError::OnOutage { text: text.to_owned() }),
                Some(("durability", durability)) => options.durability = durability.parse::<Durability>()?,
                Some((name @ "lease", text)) => times.lease = seconds(name, text)?,
                Some((name @ "grace", text)) => times.grace = seconds(name, text)?,
                Some(("ca", path)) => authorities = Some(PathBuf::from(path)),
                Some(("cert", path)) => certificate = Some(PathBuf::from(path)),
                Some(("key", path)) => key = Some(PathBuf::from(path)),
                Some((name, _)) if FOR_THE_CONNECTION.contains(&name) => others.push(part),
                Some((name, _)) => return Err(RedisUrlError::Unknown { name: name.to_owned() }),
                None if part.is_empty() => {}
                None => return Err(RedisUrlError::Unknown { name: part.to_owned() }),
            }
        }
        options.leases = Some(times);
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsClient { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(RedisUrlError::HalfClient),
        };
        options.tls = RedisTlsFiles { authorities, client };
        if !others.is_empty() {
            options.url = format!("{place}?{}", others.join("&"));
        }
        Ok(options)
    }
}

/// Checks the name of a namespace. It must not contain braces, because these would end the hash tag by which a cluster
/// assigns keys to shards.
fn checked(namespace: &str) -> Result<String, RedisUrlError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if namespace.is_empty() || namespace.len() > MAX_NAMESPACE_LEN || !namespace.bytes().all(fits) {
        return Err(RedisUrlError::Namespace { namespace: namespace.to_owned() });
    }
    Ok(namespace.to_owned())
}

fn seconds(name: &str, text: &str) -> Result<Duration, RedisUrlError> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err(RedisUrlError::Time { name: name.to_owned(), text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_longhaul_are_removed_from_the_url() {
        let url = "redis+unix:///run/s?user=a&namespace=ci-1&durability=cache&lease=2&pass=b&grace=4";
        let options = RedisOptions::of_url(url).unwrap();
        assert_eq!(options.url, "redis+unix:///run/s?user=a&pass=b");
        assert_eq!((options.namespace.as_str(), options.durability), ("ci-1", Durability::Cache));
        let times = LeaseTimes { lease: Duration::from_secs(2), grace: Duration::from_secs(4) };
        assert_eq!(options.leases, Some(times));
    }

    #[test]
    fn missing_parameters_have_their_default_values() {
        for url in ["redis://host", "redis://host:1/2?protocol=resp3"] {
            let options = RedisOptions::of_url(url).unwrap();
            assert_eq!(options.url, url);
            assert_eq!((options.namespace.as_str(), options.durability), ("longhaul", Durability::Single));
            assert_eq!(options.leases, Some(LeaseTimes::default()));
            assert!(!options.runs_during_outage);
        }
        assert!(RedisOptions::of_url("redis://host?on_outage=run").unwrap().runs_during_outage);
    }

    #[cfg(all(feature = "redis-sentinel", feature = "redis-cluster"))]
    #[test]
    fn one_server_is_not_enough_where_another_may_take_over() {
        for url in ["redis+sentinel://a:1,b:1,c:1/main", "redis+cluster://a:1,b:1"] {
            for durability in ["", "?durability=single"] {
                let refused = RedisOptions::of_url(&format!("{url}{durability}")).unwrap_err();
                assert!(refused.to_string().contains("durability=replicated:N"), "{refused}");
            }
            for durability in ["replicated:2", "cache"] {
                RedisOptions::of_url(&format!("{url}?durability={durability}")).unwrap();
            }
        }
    }

    #[test]
    fn a_password_in_the_wrong_place_is_not_repeated() {
        let refused = RedisOptions::of_url("redis+unix:///s?password=hunter2").unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        for url in ["redis:foo", "redis://", "redis://:hunter2@"] {
            let refused = RedisOptions::of_url(url).unwrap_err();
            assert!(matches!(refused, RedisUrlError::Place { .. }), "{refused:?}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        }
    }

    #[test]
    fn invalid_parameters_are_refused() {
        for query in [
            "namespace=",
            "namespace=a}b",
            "namespace=a%20b",
            "durability=",
            "durability=always",
            "lease=0",
            "lease=x",
            "on_outage=queue",
            "grace=-1",
            "grace=86401",
            "namspace=team",
            "durable",
            "ca=/a",
            "cert=/a",
            "key=/a",
            "cert=/a&key=/b",
        ] {
            assert!(RedisOptions::of_url(&format!("redis://host?{query}")).is_err(), "{query}");
        }
    }
}
