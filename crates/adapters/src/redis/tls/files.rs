//! Reads the files of a TLS connection.

use super::TlsFault;
use crate::redis::options::RedisTlsFiles;
use redis::{ClientTlsConfig, TlsCertificates};
use std::path::Path;

impl RedisTlsFiles {
    /// Reads the files. If they change later, the changes take effect only at the next start.
    pub(in crate::redis) fn read(&self) -> Result<TlsCertificates, TlsFault> {
        let client_tls = match &self.client {
            None => None,
            Some(client) => Some(ClientTlsConfig {
                client_cert: pem("cert", &client.certificate, "CERTIFICATE")?,
                client_key: pem("key", &client.key, "PRIVATE KEY")?,
            }),
        };
        let authorities = self.authorities.as_deref();
        let root_cert = authorities.map(|path| pem("ca", path, "CERTIFICATE")).transpose()?;
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

/// Reads a PEM file that must contain an entry of this kind.
fn pem(name: &'static str, path: &Path, kind: &str) -> Result<Vec<u8>, TlsFault> {
    let fault = |why: String| TlsFault::File { name, path: path.to_owned(), why };
    if !path.is_absolute() {
        return Err(fault("the path must be absolute".to_owned()));
    }
    let content = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let is_there = String::from_utf8_lossy(&content)
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(kind));
    if is_there {
        Ok(content)
    } else {
        Err(fault(format!("the file contains no {} in PEM", kind.to_lowercase())))
    }
}
