//! What is shown to those who connect, so that nobody listens in.

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A certificate with its key, ready to be shown to those who connect.
#[derive(Clone)]
pub struct ServerTls(pub(super) TlsAcceptor);

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate can be read in the text.
    #[error("the file contains no certificate in PEM")]
    Certificate {
        /// Why, if it is known.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// No key can be read in the text.
    #[error("the file contains no private key in PEM")]
    Key {
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// They are no pair, or of a kind that nobody takes.
    #[error("the certificate and its key cannot be used")]
    Pair {
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl ServerTls {
    /// Reads a certificate, with its chain behind it, and its key; both in PEM.
    ///
    /// # Errors
    /// [`TlsError`] says which of them is no good.
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
