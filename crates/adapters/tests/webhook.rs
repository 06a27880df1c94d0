//! Tests of webhook deliveries over real connections, to correct and to faulty receivers.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use longhaul_adapters::webhook::{FileReaderCursors, HttpWebhookTransport, WebhookOptions};
use longhaul_ports::{WebhookRequest, WebhookTransport, WebhookTransportError};
use longhaul_testkit::suite::{ReaderCursorsFixture, WebhookFixture};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

const TIMEOUT: Duration = Duration::from_millis(500);

fn post() -> HttpWebhookTransport {
    HttpWebhookTransport::new(&WebhookOptions { authorities: None, time_limit: TIMEOUT })
}

mod carrying {
    use super::*;

    longhaul_testkit::webhook_suite!(|| WebhookFixture::new(Arc::new(post()), TIMEOUT));
}

mod bookmarks {
    use super::*;

    fn open() -> ReaderCursorsFixture {
        let top = tempfile::tempdir().unwrap();
        let directory = top.path().join("below/webhooks");
        ReaderCursorsFixture::new(move || Arc::new(FileReaderCursors::new(directory.clone()))).guarded(top)
    }

    longhaul_testkit::reader_cursors_suite!(open);
}

fn letter(address: &str) -> WebhookRequest {
    WebhookRequest {
        address: address.to_owned(),
        headers: vec![("webhook-id".to_owned(), "p/1/0".to_owned())],
        body: b"{\"a\":1}".to_vec(),
    }
}

/// Answers one webhook delivery. Returns false if the connection ended first or the answer could not be sent.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    answer: &'static [u8],
    told: &mpsc::UnboundedSender<String>,
) -> bool {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"{\"a\":1}") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    // An error is ignored, because some tests have dropped the receiving end.
    let _ = told.send(String::from_utf8(bytes).unwrap());
    stream.write_all(answer).await.is_ok()
}

#[tokio::test]
async fn requests_to_one_receiver_share_a_connection() {
    for (answer, letters, wanted) in [
        (b"HTTP/1.1 204 No Content\r\n\r\n".as_slice(), 20, 1),
        (b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noops", 20, 1),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 20, 1),
        (b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", 5, 5),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", 5, 5),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", 3, 3),
    ] {
        let (address, connections, mut heard) = counted(answer).await;
        let post = post();
        for _ in 0..letters {
            post.post(&letter(&format!("http://{address}/"))).await.unwrap();
        }
        assert_eq!(connections.opened.load(SeqCst), wanted, "{}", String::from_utf8_lossy(answer));
        for _ in 0..letters {
            heard.try_recv().unwrap();
        }
        assert!(heard.try_recv().is_err(), "none came twice");
    }
}

#[tokio::test]
async fn unused_connection_is_closed_and_the_next_request_opens_another() {
    let (address, connections, _heard) = counted(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let time_limit = Duration::from_millis(50);
    let post = HttpWebhookTransport::new(&WebhookOptions { authorities: None, time_limit });
    post.post(&letter(&format!("http://{address}/"))).await.unwrap();
    let is_closed = async {
        while connections.closed.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_closed).await.unwrap();
    post.post(&letter(&format!("http://{address}/"))).await.unwrap();
    assert_eq!(connections.opened.load(SeqCst), 2);
}

#[tokio::test]
async fn connection_of_one_receiver_is_never_used_for_another() {
    let (one, of_one, mut heard_by_one) = counted(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let (other, of_other, mut heard_by_other) = counted(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let post = post();
    for _ in 0..3 {
        for address in [one, other] {
            post.post(&letter(&format!("http://{address}/"))).await.unwrap();
        }
    }
    assert_eq!((of_one.opened.load(SeqCst), of_other.opened.load(SeqCst)), (1, 1));
    for heard in [&mut heard_by_one, &mut heard_by_other] {
        assert_eq!(std::iter::from_fn(|| heard.try_recv().ok()).count(), 3);
    }
}

/// Numbers of opened and closed connections of a receiver.
#[derive(Default)]
struct Connections {
    opened: AtomicU32,
    closed: AtomicU32,
}

/// Starts a receiver that sends `answer` to every webhook delivery and keeps its connections open.
async fn counted(answer: &'static [u8]) -> (SocketAddr, Arc<Connections>, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<Connections>::default());
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.opened.fetch_add(1, SeqCst);
            let (told, counted) = (told.clone(), counted.clone());
            tokio::spawn(async move {
                while serve(&mut stream, answer, &told).await {}
                drop(stream);
                counted.closed.fetch_add(1, SeqCst);
            });
        }
    });
    (address, connections, heard)
}

#[tokio::test]
async fn only_a_trusted_receiver_with_the_right_name_gets_a_request_over_tls() {
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
        HttpWebhookTransport::new(&WebhookOptions {
            authorities: Some(authorities.clone()),
            time_limit: TIMEOUT * 4,
        })
    };
    let good = secure(&certified.cert.pem(), &certified.signing_key.serialize_pem()).await;
    let misnamed = secure(&other.cert.pem(), &other.signing_key.serialize_pem()).await;
    let letter_to = |port: u16| letter(&format!("https://127.0.0.1:{port}/"));
    let post = trusted(&both);
    for _ in 0..2 {
        assert_eq!(post.post(&letter_to(good)).await.unwrap().status, 200);
    }
    drop(post);
    for (post, port) in
        [(trusted(&neither), good), (trusted(&both), misnamed), (trusted(&top.path().join("none")), good)]
    {
        let error = post.post(&letter_to(port)).await.unwrap_err();
        assert!(matches!(error, WebhookTransportError::Unreachable { .. }), "{error:?}");
    }
}

/// Starts a TLS receiver that uses this certificate. Returns its port.
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
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let (told, _heard) = mpsc::unbounded_channel();
                while serve(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &told).await {}
            }
        }
    });
    port
}
