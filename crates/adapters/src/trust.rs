//! Trusted CA certificates for TLS connections.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Usual paths of the CA certificates of a machine.
const PLACES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reason why no CA certificates can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The machine has no file of CA certificates.
    #[error("this machine has no CA certificates: install them, or set a CA file in the configuration")]
    Nowhere,
    /// The file cannot be read.
    #[error("the CA file {} cannot be read", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file contains no usable certificates.
    #[error("the CA file {} contains no usable CA certificates", path.display())]
    Unusable {
        /// Path of the file.
        path: PathBuf,
    },
    /// The TLS library failed.
    #[error("TLS cannot be set up")]
    Refused {
        /// Error of the TLS library.
        #[source]
        source: rustls::Error,
    },
}

/// Creates a TLS connector that trusts the given CA certificates, or the CA certificates of the machine if none are
/// given.
pub(crate) fn connector(authorities: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let found = PLACES.iter().map(Path::new).find(|place| place.is_file());
    let path = authorities.or(found).ok_or(TrustError::Nowhere)?;
    let pem =
        std::fs::read(path).map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    // Skip certificates that cannot be read or are of an unsupported kind.
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

/// Returns the host name that the server's certificate must contain.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    ServerName::try_from(host.to_owned())
}
