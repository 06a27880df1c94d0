//! Letters over real connections, to receivers that mean well and to others.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use longhaul_adapters::webhook::{HttpPost, PostOptions};
use longhaul_ports::{Letter, Post, PostError, Receipt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const PATIENCE: Duration = Duration::from_millis(500);

fn post() -> HttpPost {
    HttpPost::new(&PostOptions { authorities: None, patience: PATIENCE })
}

fn letter(address: &str) -> Letter {
    Letter {
        address: address.to_owned(),
        headers: vec![("webhook-id".to_owned(), "p/1/0".to_owned())],
        body: b"{\"a\":1}".to_vec(),
    }
}

/// A receiver that says this to everyone and leaves, or stays without a word; what it was told comes here.
async fn receiver(answer: &'static [u8], stays: bool) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer, stays, told.clone()));
        }
    });
    (address, heard)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &'static [u8],
    stays: bool,
    told: mpsc::UnboundedSender<String>,
) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"{\"a\":1}") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    // Not every test listens.
    let _ = told.send(String::from_utf8(bytes).unwrap());
    let _ = stream.write_all(answer).await;
    if stays {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn letter_arrives_as_it_was_written() {
    let (address, mut heard) = receiver(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
    let receipt = post().post(&letter(&format!("http://{address}/hooks/a?b=c"))).await.unwrap();
    assert_eq!(receipt, Receipt { status: 204, retry_after: None });
    let text = heard.recv().await.unwrap().to_ascii_lowercase();
    assert!(text.starts_with("post /hooks/a?b=c http/1.1\r\n"), "{text}");
    for line in [format!("host: {address}"), "webhook-id: p/1/0".to_owned(), "content-length: 7".to_owned()] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}: {text}");
    }
}

#[tokio::test]
async fn redirect_is_an_answer_and_nobody_else_is_contacted() {
    let (elsewhere, mut heard) = receiver(b"HTTP/1.1 200 OK\r\n\r\n", false).await;
    let answer =
        format!("HTTP/1.1 307 Elsewhere\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let (address, _) = receiver(Box::leak(answer.into_bytes().into_boxed_slice()), false).await;
    let receipt = post().post(&letter(&format!("http://{address}/"))).await.unwrap();
    assert_eq!(receipt.status, 307);
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn receiver_says_when_it_wants_to_be_asked_again() {
    let (address, _) =
        receiver(b"HTTP/1.1 429 Slow\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", false).await;
    let receipt = post().post(&letter(&format!("http://{address}/"))).await.unwrap();
    assert_eq!(receipt, Receipt { status: 429, retry_after: Some(Duration::from_secs(120)) });
}

#[tokio::test]
async fn receiver_that_never_ends_its_answer_holds_nobody_up() {
    // Only the head is read: what follows may be as long as it likes.
    let (address, _) = receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{", true).await;
    let begin = Instant::now();
    assert_eq!(post().post(&letter(&format!("http://{address}/"))).await.unwrap().status, 200);
    assert!(begin.elapsed() < PATIENCE);
}

#[tokio::test]
async fn silent_receiver_is_given_up_in_time() {
    for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\nx: "] {
        let (address, _) = receiver(answer, true).await;
        let begin = Instant::now();
        let error = post().post(&letter(&format!("http://{address}/"))).await.unwrap_err();
        assert!(matches!(error, PostError::Silent { .. }), "{error:?}");
        assert!(begin.elapsed() < PATIENCE * 4);
    }
}

#[tokio::test]
async fn nonsense_endless_heads_and_hanging_up_are_errors() {
    let endless: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(10_000)]
            .concat()
            .into_boxed_slice(),
    );
    for answer in [b"".as_slice(), b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nx", endless] {
        let (address, _) = receiver(answer, false).await;
        let error = post().post(&letter(&format!("http://{address}/"))).await.unwrap_err();
        assert!(matches!(error, PostError::Unreachable { .. }), "{error:?}");
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = post().post(&letter(&format!("http://{free}/"))).await.unwrap_err();
    assert!(matches!(error, PostError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn letter_that_can_never_be_sent_says_so() {
    let mut bad = letter("http://127.0.0.1:9/");
    bad.headers.push(("x".to_owned(), "a\r\nevil: b".to_owned()));
    for unusable in [bad, letter("nowhere"), letter("http://")] {
        let error = post().post(&unusable).await.unwrap_err();
        assert!(matches!(error, PostError::Unusable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn only_a_trusted_receiver_of_the_right_name_gets_a_letter_over_tls() {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["example.com".to_owned()]).unwrap();
    let top = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: String| -> PathBuf {
        let path = top.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let both = file("both.pem", format!("{}{}", certified.cert.pem(), other.cert.pem()));
    let neither = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let neither = file("neither.pem", neither.cert.pem());
    let trusted = |authorities: &PathBuf| {
        HttpPost::new(&PostOptions { authorities: Some(authorities.clone()), patience: PATIENCE * 4 })
    };
    let good = secure(&certified.cert.pem(), &certified.signing_key.serialize_pem()).await;
    let misnamed = secure(&other.cert.pem(), &other.signing_key.serialize_pem()).await;
    let letter_to = |port: u16| letter(&format!("https://127.0.0.1:{port}/"));
    assert_eq!(trusted(&both).post(&letter_to(good)).await.unwrap().status, 200);
    for (post, port) in
        [(trusted(&neither), good), (trusted(&both), misnamed), (trusted(&top.path().join("none")), good)]
    {
        let error = post.post(&letter_to(port)).await.unwrap_err();
        assert!(matches!(error, PostError::Unreachable { .. }), "{error:?}");
    }
}

/// A receiver that speaks TLS under this certificate.
async fn secure(certificate: &str, key: &str) -> u16 {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_once(stream).await;
            }
        }
    });
    port
}

async fn serve_once<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"{\"a\":1}") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let _ = stream.shutdown().await;
}
