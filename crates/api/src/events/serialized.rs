//! Events with cached serialized forms.

use longhaul_wire::event::Envelope;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// An event envelope that is serialized at most once to each text form. Clones share the texts.
#[derive(Clone, Debug)]
pub struct SerializedEvent(Arc<SerializedText>);

#[derive(Debug)]
struct SerializedText {
    envelope: Envelope,
    event: OnceLock<Arc<[u8]>>,
    line: OnceLock<Arc<[u8]>>,
}

impl SerializedEvent {
    pub(crate) fn of(envelope: Envelope) -> Self {
        Self(Arc::new(SerializedText { envelope, event: OnceLock::new(), line: OnceLock::new() }))
    }

    /// Returns the event as the text of a server-sent event. The first call creates the text with `write`.
    pub fn as_event(&self, write: impl FnOnce(&Envelope) -> String) -> Arc<[u8]> {
        self.0.event.get_or_init(|| write(self).into_bytes().into()).clone()
    }

    /// Returns the event as a line of JSON. The first call creates the text with `write`.
    pub fn as_line(&self, write: impl FnOnce(&Envelope) -> String) -> Arc<[u8]> {
        self.0.line.get_or_init(|| write(self).into_bytes().into()).clone()
    }
}

impl Deref for SerializedEvent {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.0.envelope
    }
}

impl PartialEq for SerializedEvent {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
