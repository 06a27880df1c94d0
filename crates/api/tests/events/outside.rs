//! Fakes of the ports that webhooks use: HTTP transport and storage of cursors.

use crate::world::World;
use async_trait::async_trait;
use longhaul_api::ProcessScope;
use longhaul_api::webhook::{self, BadWebhook, Webhook, WebhookAddress, WebhookPlan, WebhookSecret};
use longhaul_engine::ports::{
    ClosedReader, EventCursor, ReaderCursorError, ReaderCursors, WebhookRequest, WebhookResponse,
    WebhookTransport, WebhookTransportError,
};
use longhaul_testkit::fakes::VirtualClock;
use longhaul_wire::event::Envelope;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Reply that a fake receiver gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    Later(u16, Duration),
    Silence,
    Nobody,
}

/// A fake receiver. It first gives the planned replies, and then always the reply `then`.
#[derive(Debug)]
pub(crate) struct Receiver {
    clock: VirtualClock,
    planned: Mutex<VecDeque<Answer>>,
    then: Mutex<Answer>,
    pub(crate) letters: Mutex<Vec<(Duration, WebhookRequest)>>,
}

/// Fake receivers, by the host name in the webhook URL.
#[derive(Debug, Default)]
pub(crate) struct Hosts(BTreeMap<String, Arc<Receiver>>);

/// Storage of webhook cursors. The saved cursors survive a restart of the manager.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) kept: Mutex<BTreeMap<String, EventCursor>>,
    /// Cursors that were recorded after the last durable save. A power cut loses these cursors.
    noted: Mutex<BTreeMap<String, EventCursor>>,
    /// Number of durable saves.
    pub(crate) syncs: AtomicU32,
    pub(crate) closed: Mutex<BTreeMap<String, String>>,
}

impl Places {
    /// Simulates a power cut: removes the cursors that were not saved durably.
    pub(crate) fn cut_power(&self) {
        self.noted.lock().unwrap().clear();
    }
}

impl Receiver {
    pub(crate) fn new(world: &World, planned: &[Answer], then: Answer) -> Arc<Self> {
        Arc::new(Self {
            clock: world.clock.clone(),
            planned: Mutex::new(planned.iter().copied().collect()),
            then: Mutex::new(then),
            letters: Mutex::default(),
        })
    }

    pub(crate) fn then(&self, answer: Answer) {
        *self.then.lock().unwrap() = answer;
    }

    /// Returns all events that the receiver got, including events that the receiver refused.
    pub(crate) fn envelopes(&self) -> Vec<Envelope> {
        let letters = self.letters.lock().unwrap();
        letters.iter().map(|(_, letter)| serde_json::from_slice(&letter.body).unwrap()).collect()
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.envelopes().into_iter().map(|envelope| envelope.event).collect()
    }
}

impl Hosts {
    pub(crate) fn of(receivers: &[(&str, &Arc<Receiver>)]) -> Arc<dyn WebhookTransport> {
        let hosts = receivers.iter().map(|(host, receiver)| ((*host).to_owned(), (*receiver).clone()));
        Arc::new(Self(hosts.collect()))
    }
}

#[async_trait]
impl WebhookTransport for Hosts {
    async fn post(&self, letter: &WebhookRequest) -> Result<WebhookResponse, WebhookTransportError> {
        let host = letter.address.split(['/', ':']).nth(3).unwrap();
        let receiver = &self.0[host];
        let at = longhaul_engine::ports::Clock::now(&receiver.clock).0;
        let at = Duration::from_millis(u64::try_from(at).unwrap());
        receiver.letters.lock().unwrap().push((at, letter.clone()));
        let planned = receiver.planned.lock().unwrap().pop_front();
        let answer = planned.unwrap_or(*receiver.then.lock().unwrap());
        let address = letter.address.clone();
        match answer {
            Answer::Status(status) => Ok(WebhookResponse { status, retry_after: None }),
            Answer::Later(status, span) => Ok(WebhookResponse { status, retry_after: Some(span) }),
            Answer::Silence => std::future::pending().await,
            Answer::Nobody => Err(WebhookTransportError::Unreachable {
                address,
                source: "the receiver is unreachable".into(),
            }),
        }
    }
}

#[async_trait]
impl ReaderCursors for Places {
    async fn find(&self, reader: &str) -> Result<Option<EventCursor>, ReaderCursorError> {
        let noted = self.noted.lock().unwrap().get(reader).copied();
        Ok(noted.or_else(|| self.kept.lock().unwrap().get(reader).copied()))
    }

    async fn keep(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.noted.lock().unwrap().remove(reader);
        let before = self.kept.lock().unwrap().insert(reader.to_owned(), place);
        assert!(
            before.is_none_or(|before| before <= place),
            "{reader} goes back from {before:?} to {place:?}"
        );
        Ok(())
    }

    async fn note(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError> {
        self.noted.lock().unwrap().insert(reader.to_owned(), place);
        Ok(())
    }

    async fn close(&self, reader: &str, why: &str) -> Result<(), ReaderCursorError> {
        self.closed.lock().unwrap().insert(reader.to_owned(), why.to_owned());
        Ok(())
    }

    async fn closed(&self, reader: &str) -> Result<Option<ClosedReader>, ReaderCursorError> {
        let why = self.closed.lock().unwrap().get(reader).cloned();
        Ok(why.map(|why| ClosedReader { why, remedy: "ask the test".to_owned() }))
    }

    async fn reopen(&self, reader: &str) -> Result<(), ReaderCursorError> {
        self.closed.lock().unwrap().remove(reader);
        Ok(())
    }
}

pub(crate) fn webhook(name: &str, events: &[&str]) -> Webhook {
    webhook_with(name, events, false)
}

pub(crate) fn webhook_with(name: &str, events: &[&str], hooks: bool) -> Webhook {
    let plan = WebhookPlan {
        name: name.to_owned(),
        url: format!("https://{name}/events"),
        secret: WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        events: events.iter().map(|word| (*word).to_owned()).collect(),
        session: None,
        scope: ProcessScope::default(),
        hooks,
    };
    let allowed = [WebhookAddress::new(&format!("https://{name}")).unwrap()];
    Webhook::new(plan, &allowed).unwrap()
}

/// Starts the webhooks and waits until they have determined the cursors from which they read.
pub(crate) async fn start(
    world: &World,
    webhooks: Vec<Webhook>,
    post: &Arc<dyn WebhookTransport>,
    places: &Arc<Places>,
) {
    let bookmarks: Arc<dyn ReaderCursors> = places.clone();
    webhook::start(&world.api, webhooks, post, &bookmarks);
    world.clock.settle().await;
}

#[test]
fn a_receiver_that_is_not_allowed_does_not_exist() {
    let plan = |name: &str, url: &str| WebhookPlan {
        name: name.to_owned(),
        url: url.to_owned(),
        secret: WebhookSecret::new("hush").unwrap(),
        events: Vec::new(),
        session: None,
        scope: ProcessScope::default(),
        hooks: false,
    };
    let allowed = [WebhookAddress::new("https://example.com/hooks").unwrap()];
    assert!(Webhook::new(plan("chat", "https://example.com/hooks/7"), &allowed).is_ok());
    for url in ["https://example.com", "http://example.com/hooks/7", "https://example.com.evil/hooks"] {
        let refused = Webhook::new(plan("chat", url), &allowed);
        assert!(matches!(refused, Err(BadWebhook::Forbidden { .. })), "{url}");
    }
    assert!(matches!(
        Webhook::new(plan("chat", "https://example.com/hooks"), &[]),
        Err(BadWebhook::Forbidden { .. })
    ));
    assert!(matches!(
        Webhook::new(plan("../x", "https://example.com/hooks"), &allowed),
        Err(BadWebhook::Name)
    ));
}
