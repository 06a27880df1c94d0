//! Suppresses the output of expected panics while proptest searches for the shortest failing script.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

thread_local! {
    static SILENCED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Guard that stores the panics of this thread instead of printing them. Panics of other threads are printed as usual.
#[derive(Debug)]
pub(super) struct SilencePanics(());

impl SilencePanics {
    pub(super) fn begin() -> Self {
        HOOK.call_once(|| {
            let loud = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                if SILENCED.get() {
                    LAST.set(Some(panic.to_string()));
                } else {
                    loud(panic);
                }
            }));
        });
        LAST.take();
        SILENCED.set(true);
        Self(())
    }

    /// Takes the last panic that was stored instead of printed.
    pub(super) fn last(&self) -> Option<String> {
        LAST.take()
    }
}

impl Drop for SilencePanics {
    fn drop(&mut self) {
        SILENCED.set(false);
    }
}
