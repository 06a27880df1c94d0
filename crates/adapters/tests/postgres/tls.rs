//! Tests of TLS connections to a real server: the certificates that are trusted, and the errors of refused connections.

use crate::process::Server;
use longhaul_adapters::postgres::{PostgresOptions, PostgresStore};
use longhaul_ports::{Queues as _, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;

/// A server that accepts TLS connections, and the files of two certificate authorities. The authority `ours` issued the
/// certificate of the server.
struct TlsServer {
    _server: Server,
    address: String,
    directory: TempDir,
}

impl TlsServer {
    /// Starts a server whose certificate contains its address, or another name.
    fn start(name: Option<&str>) -> Self {
        Self::with("ssl=on", name)
    }

    fn with(setting: &str, name: Option<&str>) -> Self {
        // Each test is a process of its own, so the address is free.
        let [.., a, b, c] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{b}.{c}", 1 + a);
        let directory = tempfile::tempdir().unwrap();
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            std::fs::write(directory.path().join(name), issuer.pem()).unwrap();
            issuer
        };
        let (ours, _theirs) = (authority("ours"), authority("theirs"));
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.unwrap_or(&address).to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &ours).unwrap().pem();
        let server = Server::with(
            &[setting, &format!("listen_addresses={address}")],
            &[("server.crt", &certificate), ("server.key", &key.serialize_pem())],
        );
        Self { _server: server, address, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns a URL that requires TLS and trusts this authority.
    fn url(&self, authority: &str) -> String {
        let file = self.file(authority);
        format!(
            "postgres://longhaul@{}/postgres?sslmode=require&sslrootcert={}",
            self.address,
            file.display()
        )
    }
}

async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(PostgresOptions::of_url(url)?).await
}

/// Returns the causes of the error with which a server cannot be used.
async fn refusal(url: &str) -> String {
    let Err(StoreError::Unavailable { source }) = open(url).await else { unreachable!("{url}") };
    let mut text = source.to_string();
    let mut cause = source.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_reached_through_tls_where_its_authority_is_trusted() {
    let server = TlsServer::start(None);
    let store = open(&server.url("ours")).await.unwrap();
    assert!(store.policy().await.is_ok());
    let plain = server.url("ours").replace("sslmode=require", "sslmode=disable");
    assert!(open(&plain).await.is_ok(), "the server accepts both kinds of connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_trusted_certificate_is_refused() {
    let server = TlsServer::start(None);
    let refused = refusal(&server.url("theirs")).await;
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let absent = refusal(&server.url("absent")).await;
    assert!(absent.contains("absent") && absent.contains("No such file"), "{absent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_name_is_refused() {
    let server = TlsServer::start(Some("db.example"));
    let refused = refusal(&server.url("ours")).await;
    assert!(refused.contains("db.example"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_where_the_url_requires_it() {
    let server = TlsServer::with("ssl=off", None);
    let refused = refusal(&server.url("ours")).await;
    assert!(refused.contains("server does not support TLS"), "{refused}");
}
