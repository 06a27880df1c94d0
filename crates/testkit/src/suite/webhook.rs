//! Contract of every webhook transport.

mod receiver;

use crate::suite::{must, refused};
use longhaul_ports::{WebhookRequest, WebhookResponse, WebhookTransport, WebhookTransportError};
use receiver::{ReceiverBehavior, TestReceiver};
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

const OK_RESPONSE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Fixture for one rule: a webhook transport. The receivers run on this machine, without TLS.
pub struct WebhookFixture {
    post: Arc<dyn WebhookTransport>,
    time_limit: Duration,
}

impl WebhookFixture {
    /// Creates a fixture around a transport whose response timeout is `time_limit`. With a timeout below one second,
    /// the rules run fast.
    #[must_use]
    pub fn new(post: Arc<dyn WebhookTransport>, time_limit: Duration) -> Self {
        Self { post, time_limit }
    }

    async fn send(&self, address: &str) -> Result<WebhookResponse, WebhookTransportError> {
        self.post.post(&webhook_request(address, "1")).await
    }
}

impl fmt::Debug for WebhookFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookFixture").field("post", &self.post).finish_non_exhaustive()
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> WebhookFixture) -> WebhookFixture {
    open()
}

fn webhook_request(address: &str, id: &str) -> WebhookRequest {
    WebhookRequest {
        address: address.to_owned(),
        headers: vec![
            ("webhook-id".to_owned(), id.to_owned()),
            ("x-odd".to_owned(), "a b;c=\"d\"".to_owned()),
        ],
        body: format!("{{\"id\":\"{id}\",\"text\":\"größe\\n\"}}").into_bytes(),
    }
}

/// Returns a local address on which no program listens.
fn unreachable_address() -> SocketAddr {
    let listener = must(TcpListener::bind("127.0.0.1:0"));
    must(listener.local_addr())
}

/// A request arrives unchanged: method, path, headers and body.
pub async fn a_request_arrives_unchanged(world: &WebhookFixture) {
    let receiver = TestReceiver::saying(OK_RESPONSE, ReceiverBehavior::Reads).await;
    let address = receiver.url("/hooks/a%20b?c=d");
    let receipt = must(world.send(&address).await);
    assert_eq!(receipt, WebhookResponse { status: 204, retry_after: None });
    let (requests, webhook_request) = (receiver.requests(), webhook_request(&address, "1"));
    let [request] = requests.as_slice() else { crate::suite::instead_of("one request", &requests) };
    assert_eq!(request.line, "POST /hooks/a%20b?c=d HTTP/1.1");
    for (name, value) in &webhook_request.headers {
        assert_eq!(request.header(name), Some(value.as_str()), "{name}");
    }
    assert!(request.header("host").is_some_and(|host| address.contains(host)));
    assert_eq!(request.body, webhook_request.body);
}

/// Every HTTP response is returned as a response, including refusals and server errors.
pub async fn every_http_response_is_returned(world: &WebhookFixture) {
    for status in [200, 202, 204, 400, 404, 410, 429, 500, 503, 599] {
        let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
        let receiver = TestReceiver::saying(&answer, ReceiverBehavior::Reads).await;
        assert_eq!(must(world.send(&receiver.url("/")).await).status, status);
    }
}

/// A redirect is returned like any other response and is not followed.
pub async fn a_redirect_is_not_followed(world: &WebhookFixture) {
    let elsewhere = TestReceiver::saying(OK_RESPONSE, ReceiverBehavior::Reads).await;
    for status in [301, 302, 303, 307, 308] {
        let to = elsewhere.url("/");
        let answer = format!("HTTP/1.1 {status} There\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let receiver = TestReceiver::saying(&answer, ReceiverBehavior::Reads).await;
        assert_eq!(must(world.send(&receiver.url("/")).await).status, status);
        assert_eq!(receiver.requests().len(), 1);
    }
    assert_eq!(elsewhere.requests(), []);
}

/// The header `Retry-After` is returned if it is a number of seconds. Any other value is ignored.
pub async fn the_retry_after_header_is_returned(world: &WebhookFixture) {
    for (text, seconds) in [("120", Some(120)), ("0", Some(0)), ("soon", None), ("-1", None)] {
        let answer = format!("HTTP/1.1 503 Slow\r\nretry-after: {text}\r\ncontent-length: 0\r\n\r\n");
        let receiver = TestReceiver::saying(&answer, ReceiverBehavior::Reads).await;
        let receipt = must(world.send(&receiver.url("/")).await);
        assert_eq!(receipt.retry_after, seconds.map(Duration::from_secs), "{text}");
    }
}

/// If a receiver does not exist, disconnects, or does not send HTTP, the transport returns the error `Unreachable`.
pub async fn a_receiver_without_an_http_response_is_unreachable(world: &WebhookFixture) {
    refused!(
        world.send(&format!("http://{}/", unreachable_address())).await,
        WebhookTransportError::Unreachable { .. }
    );
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "x: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(40_000));
    for answer in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nx", &endless] {
        let receiver = TestReceiver::saying(answer, ReceiverBehavior::HangsUp).await;
        refused!(world.send(&receiver.url("/")).await, WebhookTransportError::Unreachable { .. });
    }
}

/// If a receiver accepts the connection but does not respond, the transport returns the error `Silent` within a bounded
/// time.
pub async fn a_silent_receiver_causes_a_timeout(world: &WebhookFixture) {
    for answer in ["", "HTTP/1.1 200 OK\r\nx: "] {
        let receiver = TestReceiver::saying(answer, ReceiverBehavior::Stays).await;
        let begun = Instant::now();
        refused!(world.send(&receiver.url("/")).await, WebhookTransportError::Silent { .. });
        assert!(begun.elapsed() < world.time_limit * 4, "{:?}", begun.elapsed());
    }
}

/// Only the head of a response is used. A slow, endless or malformed body does not delay the result.
pub async fn the_body_of_a_response_does_not_delay_the_result(world: &WebhookFixture) {
    for (answer, then) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{", ReceiverBehavior::Stays),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense", ReceiverBehavior::Reads),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", ReceiverBehavior::HangsUp),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", ReceiverBehavior::HangsUp),
    ] {
        let receiver = TestReceiver::saying(answer, then).await;
        for _ in 0..2 {
            let begun = Instant::now();
            assert_eq!(must(world.send(&receiver.url("/")).await).status, 200, "{answer:?}");
            assert!(begun.elapsed() < world.time_limit, "{answer:?}: {:?}", begun.elapsed());
        }
        assert_eq!(receiver.requests().len(), 2);
    }
}

/// Consecutive requests each arrive once and in order, even if the receiver disconnects after each response.
pub async fn requests_arrive_once_and_in_order(world: &WebhookFixture) {
    for then in [ReceiverBehavior::Reads, ReceiverBehavior::HangsUp] {
        let receiver = TestReceiver::saying(OK_RESPONSE, then).await;
        let ids: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        for id in &ids {
            must(world.post.post(&webhook_request(&receiver.url("/"), id)).await);
        }
        let found: Vec<_> = receiver
            .requests()
            .iter()
            .filter_map(|request| request.header("webhook-id").map(str::to_owned))
            .collect();
        assert_eq!(found, ids, "{then:?}");
    }
}

/// Concurrent requests each arrive once, and each sender gets the response to its own request.
pub async fn concurrent_requests_get_their_own_responses(world: &WebhookFixture) {
    let mut receivers = Vec::new();
    for status in [200, 404, 503] {
        let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 2\r\n\r\n{{}}");
        receivers.push((status, TestReceiver::saying(&answer, ReceiverBehavior::Reads).await));
    }
    let senders: Vec<_> = (0..24)
        .flat_map(|number| {
            receivers.iter().map(move |(status, receiver)| (number, *status, receiver.url("/")))
        })
        .map(|(number, status, address)| {
            let post = Arc::clone(&world.post);
            tokio::spawn(async move {
                let receipt = must(post.post(&webhook_request(&address, &number.to_string())).await);
                assert_eq!(receipt.status, status);
            })
        })
        .collect();
    for sender in senders {
        must(sender.await);
    }
    for (status, receiver) in receivers {
        let mut found: Vec<String> = receiver
            .requests()
            .iter()
            .filter_map(|request| request.header("webhook-id").map(str::to_owned))
            .collect();
        found.sort();
        let mut sent: Vec<String> = (0..24).map(|number| number.to_string()).collect();
        sent.sort();
        assert_eq!(found, sent, "{status}");
    }
}

/// For a request that can never be sent, the transport returns the error `Unusable` and contacts no receiver.
pub async fn a_request_that_can_never_be_sent_is_unusable(world: &WebhookFixture) {
    let receiver = TestReceiver::saying(OK_RESPONSE, ReceiverBehavior::Reads).await;
    let with = |name: &str, value: &str| {
        let mut webhook_request = webhook_request(&receiver.url("/"), "1");
        webhook_request.headers.push((name.to_owned(), value.to_owned()));
        webhook_request
    };
    let unusable = [
        webhook_request("nowhere", "1"),
        webhook_request("http://", "1"),
        with("x", "a\r\nevil: b"),
        with("not a name", "x"),
    ];
    for webhook_request in &unusable {
        refused!(world.post.post(webhook_request).await, WebhookTransportError::Unusable { .. });
    }
    assert_eq!(receiver.requests(), []);
}

/// Generates one test for each rule about webhook transports.
///
/// Takes a function that opens a [`WebhookFixture`].
#[macro_export]
macro_rules! webhook_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, webhook,
            a_request_arrives_unchanged
            every_http_response_is_returned
            a_redirect_is_not_followed
            the_retry_after_header_is_returned
            a_receiver_without_an_http_response_is_unreachable
            a_silent_receiver_causes_a_timeout
            the_body_of_a_response_does_not_delay_the_result
            requests_arrive_once_and_in_order
            concurrent_requests_get_their_own_responses
            a_request_that_can_never_be_sent_is_unusable
        }
    };
}
