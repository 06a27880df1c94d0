//! Sends tracing spans to an OpenTelemetry collector, if the standard environment variables configure a collector.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// Exporter that sends spans in the background. Dropping it sends the remaining spans.
#[derive(Debug)]
pub(crate) struct Telemetry(SdkTracerProvider);

/// Environment variables that contain the address of a collector.
const ENDPOINTS: &[&str] = &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// Time limit for sending spans to the collector. Spans that are not sent in time are lost.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of bytes that are read from a response of the collector.
const MAX_RESPONSE_LEN: u64 = 64 * 1024;

impl Telemetry {
    /// Starts sending spans. Returns `None` if no collector is configured or its configuration is invalid.
    pub(crate) fn begin<S>() -> Option<(Self, impl Layer<S>)>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        ENDPOINTS.iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
        // An error is ignored, because the log is not set up yet.
        let exporter = SpanExporter::builder().with_http().with_http_client(HttpExporter).build().ok()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("longhaul").with_attribute(version).build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("longhaul"))
            .with_filter(Targets::new().with_target("longhaul", LevelFilter::DEBUG));
        Some((Self(provider), layer))
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(EXPORT_TIMEOUT) {
            tracing::debug!(%error, "could not send the last trace spans to the collector");
        }
    }
}

/// HTTP client without TLS, for a collector on the same machine. Requests block the thread of the exporter.
#[derive(Debug)]
struct HttpExporter;

#[async_trait::async_trait]
impl HttpClient for HttpExporter {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(send(&request)?)
    }
}

fn send(request: &Request<Bytes>) -> io::Result<Response<Bytes>> {
    let uri = request.uri();
    let refused = |why: &'static str| io::Error::new(io::ErrorKind::InvalidInput, why);
    if uri.scheme_str() != Some("http") {
        return Err(refused(
            "only http:// is supported; a collector on this machine can forward spans over TLS",
        ));
    }
    let host = uri.host().ok_or_else(|| refused("the URL of the collector has no host"))?;
    let port = uri.port_u16().unwrap_or(80);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let address = (name, port).to_socket_addrs()?.next().ok_or_else(|| {
        refused(
            "the host name of the collector has \
     no address",
        )
    })?;
    let mut stream = TcpStream::connect_timeout(&address, EXPORT_TIMEOUT)?;
    stream.set_read_timeout(Some(EXPORT_TIMEOUT))?;
    stream.set_write_timeout(Some(EXPORT_TIMEOUT))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!("{} {path} HTTP/1.1\r\nhost: {host}:{port}\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        if !["host", "content-length", "connection"].contains(&name.as_str()) {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    let body = request.body();
    head.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).bytes());
    stream.write_all(&head)?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(MAX_RESPONSE_LEN).read_to_end(&mut answer)?;
    read(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the collector does not speak HTTP"))
}

/// Parses the status code of an HTTP response and ignores the rest. Returns `None` if the response is not HTTP.
fn read(answer: &[u8]) -> Option<Response<Bytes>> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let status: u16 =
        words.next().filter(|word| word.starts_with("HTTP/1")).and(words.next())?.trim().parse().ok()?;
    Response::builder().status(status).body(Bytes::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn request_reaches_a_collector_and_its_answer_is_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let collector = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 1_024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let request = Request::post(url).header("content-type", "x").body(Bytes::from_static(b"")).unwrap();
        assert_eq!(send(&request).unwrap().status(), 202);
        let asked = collector.join().unwrap();
        assert!(asked.starts_with("POST /v1/traces HTTP/1.1\r\n") && asked.contains("content-type: x\r\n"));
    }

    #[test]
    fn collector_that_wants_tls_is_refused() {
        let request = Request::post("https://127.0.0.1/v1/traces").body(Bytes::new()).unwrap();
        assert_eq!(send(&request).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(read(b"\x16\x03").is_none() && read(b"").is_none() && read(b"HTTP/1.1\r\n").is_none());
    }
}
