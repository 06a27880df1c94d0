//! TLS connections to the server, and the reasons why they fail.

#![cfg_attr(
    feature = "redis-tls",
    expect(clippy::wildcard_enum_match_arm, reason = "what the library may say is not ours, and grows")
)]

#[cfg(feature = "redis-tls")]
mod files;

use std::path::PathBuf;

/// Reason why a TLS connection cannot be opened. The message contains advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file named in the URL cannot be used.
    #[error("the file {}, given as `{name}` in the URL of the store, cannot be used: {why}", path.display())]
    File {
        /// Name of the URL parameter that names the file.
        name: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Reason why the file cannot be used.
        why: String,
    },
    /// TLS files are given for a connection without TLS, or for sentinels.
    #[error(
        "the URL parameters `ca`, `cert` and `key` require a URL that starts with `rediss://` or `valkeys://`"
    )]
    NotThroughTls,
    /// The certificate of the server was not issued by a trusted authority.
    #[error(
        "the certificate of the server was not issued by a trusted authority; give the file of its authority in the \
         URL: `ca=FILE`"
    )]
    Untrusted,
    /// The certificate of the server was issued for another host name.
    #[error(
        "the certificate of the server does not contain the host name in the URL; use a name from the \
         certificate, or give the server a certificate for this name ({why})"
    )]
    OtherName {
        /// Host names in the certificate.
        why: String,
    },
    /// The certificate of the server is not valid at this time.
    #[error(
        "the certificate of the server is not valid at this time; renew it, or correct the clocks ({why})"
    )]
    OutOfDate {
        /// Period in which the certificate is valid.
        why: String,
    },
    /// The server requires a client certificate.
    #[error(
        "the server requires a client certificate; give a certificate that the server trusts in the URL: \
         `cert=FILE&key=FILE`"
    )]
    ClientUnknown,
    /// The server does not trust the client certificate.
    #[error(
        "the server does not trust the certificate given as `cert` in the URL; an authority in `tls-ca-cert-file` \
         of the server must issue it ({why})"
    )]
    ClientUntrusted {
        /// Message of the server.
        why: String,
    },
}

#[cfg(feature = "redis-tls")]
impl TlsFault {
    /// Returns the TLS fault that caused an error, or `None` if TLS is not the cause.
    pub(super) fn of(error: &redis::RedisError) -> Option<Self> {
        use rustls::{AlertDescription, CertificateError, Error};
        use std::error::Error as _;
        use std::sync::Arc;
        // The client library wraps the original error in an `Arc`.
        let shared: &Arc<dyn std::error::Error + Send + Sync> = error.source()?.downcast_ref()?;
        let io: &std::io::Error = shared.downcast_ref()?;
        match io.get_ref()?.downcast_ref()? {
            Error::InvalidCertificate(certificate) => match certificate {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Some(Self::OtherName { why: certificate.to_string() })
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    Some(Self::OutOfDate { why: certificate.to_string() })
                }
                _ => Some(Self::Untrusted),
            },
            Error::AlertReceived(AlertDescription::CertificateRequired) => Some(Self::ClientUnknown),
            Error::AlertReceived(
                alert @ (AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown),
            ) => Some(Self::ClientUntrusted { why: format!("{alert:?}") }),
            _ => None,
        }
    }
}

#[cfg(not(feature = "redis-tls"))]
impl TlsFault {
    /// Always returns `None`, because this build has no TLS.
    pub(super) const fn of(_: &redis::RedisError) -> Option<Self> {
        None
    }
}
