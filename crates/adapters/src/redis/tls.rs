//! Connections through TLS: whom they trust, what they show, and why they cannot be made.

#![cfg_attr(
    feature = "redis-tls",
    expect(clippy::wildcard_enum_match_arm, reason = "what the library may say is not ours, and grows")
)]

#[cfg(feature = "redis-tls")]
mod files;

use std::path::PathBuf;

/// Why there is no connection through TLS. The message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file that the URL names cannot be used.
    #[error("{}, which the URL of the store names as `{name}`, cannot be used: {why}", path.display())]
    File {
        /// What the URL calls it.
        name: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Files are named for a connection that does not go through TLS, or is to sentinels.
    #[error("`ca`, `cert` and `key` are only for `rediss://` and `valkeys://`")]
    NotThroughTls,
    /// Nobody who is trusted vouches for the server.
    #[error(
        "the certificate of the server was not issued by an authority that is trusted here; \
         name the file of its authority in the URL: `ca=FILE`"
    )]
    Untrusted,
    /// The server is another one by its certificate.
    #[error(
        "the certificate of the server is for another name; use one of its names in the URL, \
         or give the server a certificate for this one ({why})"
    )]
    OtherName {
        /// Which names there are.
        why: String,
    },
    /// Its certificate is not valid now.
    #[error(
        "the certificate of the server is not valid at this time; renew it, or correct the clocks ({why})"
    )]
    OutOfDate {
        /// When it is.
        why: String,
    },
    /// The server wants to know whom it speaks to.
    #[error("the server asks for a certificate; name one that it trusts in the URL: `cert=FILE&key=FILE`")]
    ClientUnknown,
    /// The server does not trust what it was shown.
    #[error(
        "the server does not trust the certificate that `cert` names in the URL; \
         it has to be issued by an authority of `tls-ca-cert-file` of the server ({why})"
    )]
    ClientUntrusted {
        /// What the server said.
        why: String,
    },
}

#[cfg(feature = "redis-tls")]
impl TlsFault {
    /// What is wrong with TLS, if that is what an error is about.
    pub(super) fn of(error: &redis::RedisError) -> Option<Self> {
        use rustls::{AlertDescription, CertificateError, Error};
        use std::error::Error as _;
        use std::sync::Arc;
        // The client shares what it met.
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
    /// Nothing is wrong with what there is not.
    pub(super) const fn of(_: &redis::RedisError) -> Option<Self> {
        None
    }
}
