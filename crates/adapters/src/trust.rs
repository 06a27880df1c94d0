//! Whom to trust.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Where machines keep the certificates that they trust.
const PLACES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no file of certificates.
    #[error("this machine has no CA certificates: install them, or set a CA file in the configuration")]
    Nowhere,
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be used.
    #[error("{} contains no usable CA certificates", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
    },
    /// The library refuses to begin.
    #[error("TLS cannot be used")]
    Refused {
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What makes sure that a receiver is who it should be.
pub(crate) fn connector(authorities: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let found = PLACES.iter().map(Path::new).find(|place| place.is_file());
    let path = authorities.or(found).ok_or(TrustError::Nowhere)?;
    let pem =
        std::fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    // One that cannot be read, or is of a kind that nobody trusts, does not spoil the others.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(TrustError::Unusable { path: path.to_owned() });
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| TrustError::Refused { source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that a certificate has to bear.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(host.to_owned())
}
