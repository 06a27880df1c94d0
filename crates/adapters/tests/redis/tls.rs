//! Tests of TLS connections to a real server: the certificates that are trusted, and the errors of refused connections.

use crate::server::{Server, error_of, free_port};
use longhaul_adapters::redis::{RedisOptions, RedisStore, RedisUrlError, TlsFault};
use longhaul_ports::{Queues, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Files with two certificate authorities and the certificates that they issued.
struct Papers {
    directory: TempDir,
}

impl Papers {
    fn issue() -> Self {
        let papers = Self { directory: tempfile::tempdir().unwrap() };
        for (authority, holders) in [
            ("ours", &[("server", "localhost"), ("elsewhere", "redis.example"), ("client", "node")][..]),
            ("theirs", &[("stranger", "node")][..]),
        ] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, authority);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            papers.write(authority, &issuer.pem());
            for (holder, name) in holders {
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::new(vec![(*name).to_owned()]).unwrap();
                params.distinguished_name.push(DnType::CommonName, *holder);
                papers.write(holder, &params.signed_by(&key, &issuer).unwrap().pem());
                papers.write(&format!("{holder}.key"), &key.serialize_pem());
            }
        }
        papers
    }

    fn write(&self, name: &str, pem: &str) {
        std::fs::write(self.path(name), pem).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Starts a server with the certificate `shows`. If `asks` is true, the server requires client certificates.
    /// Returns the server and its port.
    fn server(&self, shows: &str, asks: bool) -> (Server, String) {
        let port = free_port();
        let (certificate, key) = (self.text(shows), self.text(&format!("{shows}.key")));
        let server = Server::with(&[
            "--save",
            "",
            "--bind",
            "127.0.0.1",
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &self.text("ours"),
            "--tls-auth-clients",
            if asks { "yes" } else { "no" },
        ]);
        (server, port)
    }

    fn url(&self, port: &str, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files.iter().map(|(name, file)| format!("&{name}={}", self.text(file))).collect();
        format!("rediss://localhost:{port}?durability=cache{}", files.concat())
    }
}

async fn open(url: &str) -> Result<RedisStore, StoreError> {
    RedisStore::open(RedisOptions::of_url(url).unwrap()).await
}

async fn fault(url: &str) -> TlsFault {
    let begun = Instant::now();
    let StoreError::Unavailable { source } = error_of(open(url).await) else { unreachable!("{url}") };
    assert!(begun.elapsed() < Duration::from_secs(5), "the error is reported at once");
    source.downcast_ref::<TlsFault>().unwrap_or_else(|| unreachable!("{source:?}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_reached_through_tls_where_its_authority_is_trusted() {
    let papers = Papers::issue();
    let (server, port) = papers.server("server", false);
    let url = papers.url(&port, &[("ca", "ours")]);
    let store = open(&url).await.unwrap();
    assert!(store.policy().await.is_ok());
    assert_ne!(server.ask(&["DBSIZE"]), "0", "it is this server that was reached");
    let found = RedisStore::examine(&RedisOptions::of_url(&url).unwrap()).await.unwrap();
    assert!(found.round_trips.count > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_trusted_certificate_is_refused() {
    let papers = Papers::issue();
    let (server, port) = papers.server("server", false);
    for files in [&[("ca", "theirs")][..], &[]] {
        let fault = fault(&papers.url(&port, files)).await;
        assert_eq!(fault, TlsFault::Untrusted);
        assert!(fault.to_string().contains("`ca=FILE`"), "{fault}");
    }
    assert_eq!(server.ask(&["DBSIZE"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_name_is_refused() {
    let papers = Papers::issue();
    let (_server, port) = papers.server("elsewhere", false);
    let fault = fault(&papers.url(&port, &[("ca", "ours")])).await;
    assert!(matches!(fault, TlsFault::OtherName { .. }), "{fault:?}");
    assert!(fault.to_string().contains("redis.example"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_client_certificates_accepts_only_trusted_certificates() {
    let papers = Papers::issue();
    let (_server, port) = papers.server("server", true);
    let shown = |holder: &str| {
        let key = format!("{holder}.key");
        papers.url(&port, &[("ca", "ours"), ("cert", holder), ("key", &key)])
    };
    let store = open(&shown("client")).await.unwrap();
    assert!(store.policy().await.is_ok());
    let unknown = fault(&papers.url(&port, &[("ca", "ours")])).await;
    assert_eq!(unknown, TlsFault::ClientUnknown);
    assert!(unknown.to_string().contains("`cert=FILE&key=FILE`"), "{unknown}");
    let untrusted = fault(&shown("stranger")).await;
    assert!(matches!(untrusted, TlsFault::ClientUntrusted { .. }), "{untrusted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_tls_connection_is_opened_again() {
    let papers = Papers::issue();
    let (mut server, port) = papers.server("server", false);
    let store = open(&papers.url(&port, &[("ca", "ours")])).await.unwrap();
    server.kill();
    assert!(store.policy().await.is_err());
    server.restart();
    let begun = Instant::now();
    while store.policy().await.is_err_and(|error| matches!(error, StoreError::Unavailable { .. })) {
        assert!(begun.elapsed() < Duration::from_secs(10), "the connection did not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn files_that_cannot_be_used_are_named_by_the_url_that_names_them() {
    let papers = Papers::issue();
    papers.write("empty", "");
    let refused = |url: &str| RedisOptions::of_url(url).unwrap_err();
    for (files, wrong) in [
        (&[("ca", "absent")][..], "ca"),
        (&[("ca", "empty")], "ca"),
        (&[("ca", "server.key")], "ca"),
        (&[("cert", "client"), ("key", "client")], "key"),
        (&[("cert", "empty"), ("key", "client.key")], "cert"),
    ] {
        let refused = refused(&papers.url("1", files));
        assert!(
            matches!(refused, RedisUrlError::Tls(TlsFault::File { name, .. }) if name == wrong),
            "{refused:?}"
        );
    }
    let relative = refused("rediss://localhost?ca=ours.pem");
    assert!(relative.to_string().contains("must be absolute"), "{relative}");
    assert_eq!(refused("rediss://localhost?cert=/a"), RedisUrlError::HalfClient);
    let ours = papers.text("ours");
    for place in ["redis://localhost", "redis+unix:///socket", "redis+sentinel://localhost/main"] {
        let plain = refused(&format!("{place}?ca={ours}"));
        assert_eq!(plain, RedisUrlError::Tls(TlsFault::NotThroughTls), "{place}");
    }
}
