//! TLS for network listeners.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Server certificate with its private key.
#[derive(Clone)]
pub struct ServerTls(pub(super) TlsAcceptor);

/// Reason why a certificate or its private key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text contains no readable certificate.
    #[error("the file contains no certificate in PEM")]
    Certificate {
        /// Parse error; `None` if the text contains no certificate at all.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The text contains no readable private key.
    #[error("the file contains no private key in PEM")]
    Key {
        /// Parse error.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the private key do not match, or their kind is not supported.
    #[error("the certificate and its key cannot be used")]
    Pair {
        /// Error of the TLS library.
        #[source]
        source: rustls::Error,
    },
}

impl ServerTls {
    /// Reads a certificate chain, which starts with the server certificate, and its private key. Both are in PEM
    /// format.
    ///
    /// # Errors
    /// Returns a [`TlsError`] that says which part is unusable.
    pub fn of_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|source| TlsError::Certificate { source: Some(source) })?;
        if chain.is_empty() {
            return Err(TlsError::Certificate { source: None });
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Key { source })?;
        let pair = |source| TlsError::Pair { source };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
