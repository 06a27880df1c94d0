//! Webhooks: sends events to HTTP receivers as defined by the Standard Webhooks specification.
//!
//! Each receiver has its own task, which reads the event log, sends one event at a time and saves its cursor on disk. A
//! slow or broken receiver therefore does not delay other receivers. Every event is delivered at least once and in
//! order.

mod address;
mod backoff;
mod delivery;
mod signature;

pub use address::{BadAddress, WebhookAddress};
pub use signature::{BadSecret, WebhookSecret};

use crate::api::Api;
use crate::events::log_reader::{LogReader, patiently};
use crate::events::reader::EventReader;
use crate::events::{EventBroadcast, EventFilter, EventItem, Events, ProcessScope};
use crate::hooks::HOOK_TYPE;
use delivery::{Delivery, DeliveryResult};
use longhaul_domain::{InvalidText, SessionId, Timestamp};
use longhaul_engine::Engine;
use longhaul_engine::ports::{EventCursor, ReaderCursorError, ReaderCursors, WebhookTransport};
use longhaul_wire::event::{Envelope, EventKind, UnknownEvent};
use std::sync::Arc;
use std::time::Duration;
use tokio::select;

/// Maximum time between a delivery and the durable save of its cursor. A power cut repeats the deliveries since the
/// last durable save. If the manager is killed, only the delivery in progress is repeated, because the cursor is also
/// written without a sync after each delivery.
const CURSOR_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of deliveries between two durable saves of the cursor.
const MAX_UNSAVED_DELIVERIES: u32 = 100;
/// Maximum length of a webhook name.
const MAX_NAME_LEN: usize = 64;

/// A checked webhook: a receiver of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    name: String,
    address: WebhookAddress,
    secret: WebhookSecret,
    wanted: EventFilter,
    scope: ProcessScope,
    hooks: bool,
}

/// Configuration of a webhook.
#[derive(Clone, Debug)]
pub struct WebhookPlan {
    /// Name of the webhook: letters, digits, `-` and `_`.
    pub name: String,
    /// URL of the receiver.
    pub url: String,
    /// Secret with which the receiver checks signatures.
    pub secret: WebhookSecret,
    /// Names of the event types to deliver. An empty list means all types.
    pub events: Vec<String>,
    /// Session whose events are delivered. `None` means all sessions.
    pub session: Option<String>,
    /// Processes whose events are delivered.
    pub scope: ProcessScope,
    /// True if the events of hook processes are delivered too.
    pub hooks: bool,
}

/// Error in the configuration of a webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadWebhook {
    /// The name is invalid.
    #[error("the name of a webhook must have 1 to 64 letters, digits, - and _")]
    Name,
    /// The URL is invalid.
    #[error("{url:?} is not a valid webhook URL")]
    Address {
        /// The invalid URL.
        url: String,
        /// Reason why the URL is invalid.
        #[source]
        source: BadAddress,
    },
    /// The list of allowed addresses does not cover the URL.
    #[error("{url:?} is not allowed by webhooks.allow")]
    Forbidden {
        /// The forbidden URL.
        url: String,
    },
    /// An event type does not exist.
    #[error("{word:?} is not an event type")]
    Event {
        /// The unknown event type.
        word: String,
        /// Error from the parser of event types.
        #[source]
        source: UnknownEvent,
    },
    /// The session id is invalid.
    #[error("the session of the webhook is not a valid session id")]
    Session {
        /// Reason why the session id is invalid.
        #[source]
        source: InvalidText,
    },
}

impl Webhook {
    /// Checks a webhook configuration. This check guarantees that the URL of every [`Webhook`] is in the list of
    /// allowed addresses.
    ///
    /// # Errors
    /// Returns [`BadWebhook`] if the configuration is invalid or the address is not allowed.
    pub fn new(plan: WebhookPlan, allowed: &[WebhookAddress]) -> Result<Self, BadWebhook> {
        let WebhookPlan { name, url, secret, events, session, scope, hooks } = plan;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(is_name) {
            return Err(BadWebhook::Name);
        }
        let address = match WebhookAddress::new(&url) {
            Ok(address) => address,
            Err(source) => return Err(BadWebhook::Address { url, source }),
        };
        if !allowed.iter().any(|allowed| address.is_within(allowed)) {
            return Err(BadWebhook::Forbidden { url });
        }
        let kind = |word: String| match word.parse() {
            Ok(kind) => Ok(kind),
            Err(source) => Err(BadWebhook::Event { word, source }),
        };
        let kinds: Vec<EventKind> = events.into_iter().map(kind).collect::<Result<_, _>>()?;
        let session: Option<SessionId> = session
            .map(|session| session.parse())
            .transpose()
            .map_err(|source| BadWebhook::Session { source })?;
        Ok(Self {
            name,
            address,
            secret,
            wanted: EventFilter { session, process: None, kinds },
            scope,
            hooks,
        })
    }

    /// Returns the name of the webhook.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if the secret has fewer than 16 bytes. An attacker who guesses the secret can forge signed
    /// requests.
    #[must_use]
    pub const fn has_short_secret(&self) -> bool {
        self.secret.is_short()
    }

    fn wants(&self, envelope: &Envelope) -> bool {
        let is_hook = envelope.data.process_type.as_deref() == Some(HOOK_TYPE);
        (self.hooks || !is_hook) && self.scope.includes(envelope)
    }
}

/// Starts the tasks of all webhooks. The tasks run until the engine shuts down. A new webhook gets only events from now
/// on.
pub fn start(
    api: &Api,
    webhooks: Vec<Webhook>,
    post: &Arc<dyn WebhookTransport>,
    bookmarks: &Arc<dyn ReaderCursors>,
) {
    for webhook in webhooks {
        let round = DispatchRound {
            engine: api.engine.clone(),
            relay: api.relay.clone(),
            webhook,
            post: post.clone(),
            place: DeliveryCursor {
                bookmarks: bookmarks.clone(),
                kept: None,
                reached: None,
                kept_at: Timestamp::default(),
                unkept: 0,
            },
        };
        tokio::spawn(async move {
            // The task ends when the engine shuts down or the webhook is switched off.
            let _ended = round.go().await;
        });
    }
}

/// The task of one webhook.
struct DispatchRound {
    engine: Engine,
    relay: EventBroadcast,
    webhook: Webhook,
    post: Arc<dyn WebhookTransport>,
    place: DeliveryCursor,
}

/// Cursor of one webhook: its value in memory and its saved value on disk.
struct DeliveryCursor {
    bookmarks: Arc<dyn ReaderCursors>,
    kept: Option<EventCursor>,
    reached: Option<EventCursor>,
    kept_at: Timestamp,
    /// Number of deliveries since the durable save at time `kept_at`.
    unkept: u32,
}

impl DispatchRound {
    /// Runs the task. Returns `None` when the engine has shut down or the webhook is switched off.
    async fn go(mut self) -> Option<()> {
        let engine = self.engine.clone();
        let name = self.webhook.name.clone();
        if self.is_switched_off().await {
            return None;
        }
        let place = first_place(&engine, self.place.bookmarks.as_ref(), &name).await?;
        (self.place.kept, self.place.reached) = (Some(place), Some(place));
        let trail = patiently(&engine, || LogReader::after(&engine, Some(place), true)).await?;
        let reader = EventReader::of(&engine, &self.relay, trail, self.webhook.wanted.clone());
        let mut events = Events::of(&engine, reader);
        loop {
            let reported = select! {
                biased;
                reported = events.step() => reported,
                () = engine.sleep(CURSOR_SYNC_INTERVAL), if self.place.is_ahead(events.read()) => {
                    self.place.keep(&engine, &name, events.read()).await;
                    continue;
                }
            };
            match reported {
                Some(Some(EventItem::Event(envelope))) if !self.webhook.wants(&envelope) => {}
                Some(Some(EventItem::Event(envelope) | EventItem::Gap(envelope))) => {
                    if self.deliver(&envelope).await? == DeliveryResult::NeverAgain {
                        // The cursor is not advanced, so that this event is sent first if the webhook is switched on
                        // again.
                        self.switch_off().await;
                        return None;
                    }
                    self.place.delivered(&engine, &name, events.read()).await;
                }
                Some(Some(EventItem::CaughtUp { .. }) | None) => {}
                None => {
                    self.place.keep(&engine, &name, events.read()).await;
                    return None;
                }
            }
        }
    }

    /// Returns true if the receiver has replied with 410 (gone) and the webhook was not switched on again after that.
    /// If the URL of the webhook has changed, this function switches the webhook on.
    async fn is_switched_off(&self) -> bool {
        let Webhook { name, address, .. } = &self.webhook;
        let bookmarks = self.place.bookmarks.as_ref();
        let closed = match bookmarks.closed(name).await {
            Ok(None) => return false,
            Ok(Some(closed)) => closed,
            Err(error) => {
                tracing::warn!(
                    webhook = name, %error,
                    "could not read whether the webhook is switched off; it stays switched on"
                );
                return false;
            }
        };
        if closed.why == address.to_string() {
            let remedy = closed.remedy;
            tracing::warn!(
                webhook = name,
                %address,
                "the webhook is off since its receiver answered 410 (gone); to switch it on, {remedy}, or give it \
                 another url, and restart the manager"
            );
            return true;
        }
        if let Err(error) = bookmarks.reopen(name).await {
            tracing::warn!(
                webhook = name, %error,
                "switched on a webhook because it has a new url, but could not store this state"
            );
        }
        false
    }

    async fn switch_off(&self) {
        let Webhook { name, address, .. } = &self.webhook;
        let bookmarks = self.place.bookmarks.as_ref();
        match bookmarks.close(name, &address.to_string()).await {
            Ok(()) => {
                let remedy = bookmarks.closed(name).await.ok().flatten().map(|closed| closed.remedy);
                tracing::warn!(
                    webhook = name,
                    %address,
                    remedy,
                    "switched off a webhook: its receiver answered 410 (gone)"
                );
            }
            Err(error) => {
                tracing::warn!(webhook = name, %error, "switched off a webhook until the next start: its receiver \
                 answered 410 (gone)");
            }
        }
    }

    async fn deliver(&self, envelope: &Envelope) -> Option<DeliveryResult> {
        let Webhook { name, address, secret, .. } = &self.webhook;
        Delivery { engine: &self.engine, post: self.post.as_ref(), name, address, secret }
            .carry(envelope)
            .await
    }
}

impl DeliveryCursor {
    fn is_ahead(&self, reached: Option<EventCursor>) -> bool {
        reached.or(self.reached) > self.kept
    }

    /// Records a delivery by writing the cursor without a sync. If this fails, the event is delivered again after a
    /// crash.
    async fn delivered(&mut self, engine: &Engine, name: &str, reached: Option<EventCursor>) {
        self.reached = reached.or(self.reached);
        self.unkept += 1;
        if self.unkept >= MAX_UNSAVED_DELIVERIES || engine.now().since(self.kept_at) >= CURSOR_SYNC_INTERVAL {
            return self.keep(engine, name, reached).await;
        }
        let Some(place) = self.reached else { return };
        if let Err(error) = self.bookmarks.note(name, place).await {
            tracing::debug!(
                webhook = name, %error,
                "could not write the position of a webhook: an event may be delivered twice"
            );
        }
    }

    /// Saves the cursor durably. If this fails, the events since the last durable save are delivered again after a
    /// power cut.
    async fn keep(&mut self, engine: &Engine, name: &str, reached: Option<EventCursor>) {
        self.reached = reached.or(self.reached);
        (self.kept_at, self.unkept) = (engine.now(), 0);
        let Some(place) = self.reached.filter(|_| self.reached != self.kept) else { return };
        match self.bookmarks.keep(name, place).await {
            Ok(()) => self.kept = Some(place),
            Err(error) => {
                tracing::warn!(
                    webhook = name, %error,
                    "could not store the position of a webhook: events may be delivered twice"
                )
            }
        }
    }
}

/// Returns the cursor from which a reader resumes. If no cursor is saved, saves and returns the current end of the log.
/// Returns `None` when the engine has shut down.
pub(crate) async fn first_place(
    engine: &Engine,
    bookmarks: &dyn ReaderCursors,
    name: &str,
) -> Option<EventCursor> {
    let found = match bookmarks.find(name).await {
        Ok(found) => found,
        Err(error) => {
            let error: &ReaderCursorError = &error;
            tracing::warn!(reader = name, %error, "the cursor of the webhook is lost: deliveries start with new \
             events");
            None
        }
    };
    if let Some(place) = found {
        return Some(place);
    }
    let end = patiently(engine, || engine.log_end()).await?;
    if let Err(error) = bookmarks.keep(name, end).await {
        tracing::warn!(reader = name, %error, "could not store the cursor of a webhook");
    }
    Some(end)
}
