//! The task that reads for all.

use super::bench::{Bench, MOST};
use super::ring::{Relayed, Ring};
use crate::events::Wanted;
use crate::events::shape::Shape;
use crate::events::subject::Subjects;
use crate::events::trail::{Step, Trail};
use longhaul_engine::Engine;
use longhaul_engine::ports::Cursor;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// So long others have the processor before the next listeners are woken.
const PAUSE: Duration = Duration::from_millis(1);

/// Reads on from a place, for as long as somebody listens.
pub(super) async fn feed(engine: Engine, place: Cursor, mut subjects: Subjects, ring: Weak<Ring>) {
    let _end = End(ring.clone());
    let everything = Wanted::default();
    let mut trail = Trail::behind(&engine, place);
    loop {
        let relayed = match trail.look().await {
            Some(Step::Event(logged)) => match Shape::of(&engine, &mut subjects, logged, &everything).await {
                Some(shape) => shape.map(|shape| Relayed::Event(Arc::new(shape))),
                None => return,
            },
            Some(Step::Gap { from, to }) => Some(Relayed::Gap { from: from.unwrap_or(place), to: *to }),
            Some(Step::CaughtUp(_)) => None,
            None => return,
        };
        trail.take();
        let Some(kept) = ring.upgrade() else { return };
        if let Some(relayed) = relayed {
            kept.push(relayed);
        }
        let waiting = if trail.has_more() { Vec::new() } else { kept.waiting() };
        // The last listener may leave meanwhile.
        drop(kept);
        wake(&waiting).await;
    }
}

/// Wakes a few at a time, so that a thousand do not come before whoever has work to do.
async fn wake(benches: &[Arc<Bench>]) {
    let mut woken = 0;
    for bench in benches {
        let waiting = bench.waiting();
        if woken > 0 && woken + waiting > MOST {
            sleep(PAUSE).await;
            woken = 0;
        }
        woken += waiting;
        bench.ring();
    }
}

/// However it ends, nobody waits for it any longer.
struct End(Weak<Ring>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(ring) = self.0.upgrade() {
            ring.end();
        }
    }
}
