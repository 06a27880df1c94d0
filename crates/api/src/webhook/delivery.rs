//! Delivery of one event to one receiver.

use crate::webhook::address::WebhookAddress;
use crate::webhook::backoff::wait;
use crate::webhook::signature::WebhookSecret;
use longhaul_engine::ports::{WebhookRequest, WebhookResponse, WebhookTransport, WebhookTransportError};
use longhaul_engine::{Engine, with_causes};
use longhaul_wire::event::{ENVELOPE_TYPE, Envelope};
use std::time::Duration;
use tokio::select;

/// Age at which an event that could not be delivered is dropped.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);
/// Maximum size of a request body, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1_024;

pub(super) struct Delivery<'a> {
    pub(super) engine: &'a Engine,
    pub(super) post: &'a dyn WebhookTransport,
    pub(super) name: &'a str,
    pub(super) address: &'a WebhookAddress,
    pub(super) secret: &'a WebhookSecret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryResult {
    /// The delivery is finished: the receiver accepted the event, or the event was dropped.
    Done,
    /// The receiver replied with 410 (gone) and must not get further events.
    NeverAgain,
}

enum SendOutcome {
    Taken,
    Gone,
    Refused(u16),
    Later { why: String, asked: Option<Duration> },
    Impossible(String),
}

impl Delivery<'_> {
    /// Sends the event until it is accepted, refused or too old. Returns `None` when the engine has shut down.
    pub(super) async fn carry(&self, envelope: &Envelope) -> Option<DeliveryResult> {
        let body = body(envelope);
        let (name, event) = (self.name, envelope.id.as_str());
        let begun = self.engine.now();
        let mut failed = 0;
        loop {
            let delivery = self.delivery(event, body.clone());
            let outcome = select! {
                answer = self.post.post(&delivery) => outcome(answer),
                () = self.engine.over() => return None,
            };
            match outcome {
                SendOutcome::Taken => return Some(DeliveryResult::Done),
                SendOutcome::Gone => return Some(DeliveryResult::NeverAgain),
                SendOutcome::Refused(status) => {
                    tracing::warn!(
                        webhook = name,
                        event,
                        status,
                        why = refusal(status),
                        "dropped a webhook event that the receiver rejected"
                    );
                    return Some(DeliveryResult::Done);
                }
                SendOutcome::Impossible(why) => {
                    tracing::warn!(webhook = name, event, why, "dropped a webhook event that cannot be sent");
                    return Some(DeliveryResult::Done);
                }
                SendOutcome::Later { why, asked } => {
                    failed += 1;
                    let wait = wait(failed, self.engine.chance(), asked);
                    if self.engine.now().plus(wait).since(begun) > DELIVERY_TIMEOUT {
                        tracing::warn!(
                            webhook = name,
                            event,
                            why,
                            "dropped a webhook event after a day of retries"
                        );
                        return Some(DeliveryResult::Done);
                    }
                    tracing::debug!(
                        webhook = name,
                        event,
                        why,
                        failed,
                        "could not deliver a webhook event; retrying later"
                    );
                    select! {
                        () = self.engine.sleep_until(self.engine.now().plus(wait)) => {}
                        () = self.engine.over() => return None,
                    }
                }
            }
        }
    }

    fn delivery(&self, event: &str, body: Vec<u8>) -> WebhookRequest {
        let seconds = self.engine.wall().0.div_euclid(1_000);
        let headers = [
            ("content-type", ENVELOPE_TYPE.to_owned()),
            ("webhook-id", event.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", self.secret.sign(event, seconds, &body)),
        ];
        WebhookRequest {
            address: self.address.to_string(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body,
        }
    }
}

fn outcome(answer: Result<WebhookResponse, WebhookTransportError>) -> SendOutcome {
    match answer {
        Ok(WebhookResponse { status: 200..=299, .. }) => SendOutcome::Taken,
        Ok(WebhookResponse { status: 410, .. }) => SendOutcome::Gone,
        Ok(WebhookResponse { status: status @ (408 | 429 | 500..), retry_after }) => {
            SendOutcome::Later { why: format!("the receiver answered {status}"), asked: retry_after }
        }
        Ok(WebhookResponse { status, .. }) => SendOutcome::Refused(status),
        Err(WebhookTransportError::Unusable { why }) => SendOutcome::Impossible(why),
        Err(error) => SendOutcome::Later { why: with_causes(&error), asked: None },
    }
}

/// Returns the log message for an event that the receiver refused. The manager follows no redirects, because it sends
/// requests only to configured addresses.
const fn refusal(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "the receiver answered with a redirect, which is not followed: set the url of the webhook to the final \
             address"
        }
        _ => "the receiver answered with an error that a retry does not change",
    }
}

/// Returns the request body for an event. Long fields are cut if the body would be larger than [`MAX_REQUEST_BYTES`].
fn body(envelope: &Envelope) -> Vec<u8> {
    let write = |envelope: &Envelope| serde_json::to_vec(envelope).unwrap_or_default();
    let whole = write(envelope);
    if whole.len() <= MAX_REQUEST_BYTES {
        return whole;
    }
    let mut short = envelope.clone();
    (short.data.output, short.data.line) = (None, None);
    short.data.command.truncate(1);
    for text in [&mut short.data.error, &mut short.data.stage].into_iter().flatten() {
        text.truncate(text.floor_char_boundary(1_024));
    }
    write(&short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::event::EventKind;

    #[test]
    fn error_of_a_redirect_names_the_setting_to_change() {
        for status in [301, 302, 307, 308] {
            assert!(refusal(status).contains("redirect, which is not followed"));
        }
        assert!(!refusal(404).contains("redirect"));
    }

    #[test]
    fn letter_is_never_too_large() {
        let mut envelope = Envelope::of(EventKind::Failed);
        let small = body(&envelope);
        assert_eq!(serde_json::from_slice::<Envelope>(&small).unwrap(), envelope);
        envelope.data.error = Some("ü\u{1}".repeat(100_000));
        envelope.data.output = Some("\u{1}".repeat(100_000));
        envelope.data.command = vec!["x".repeat(4_096), "y".repeat(100_000)];
        let large = body(&envelope);
        assert!(large.len() <= MAX_REQUEST_BYTES, "{}", large.len());
        serde_json::from_slice::<Envelope>(&large).unwrap();
    }
}
