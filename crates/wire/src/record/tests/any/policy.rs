use super::{name, some, timestamp};
use longhaul_domain::{ConfiguredLimits, Policy, QueueHold, SlotKey};
use proptest::prelude::*;

pub(in crate::record::tests) fn policy() -> BoxedStrategy<Policy> {
    (
        prop::collection::btree_map(any::<String>(), any::<u32>(), 0..4),
        any::<u32>(),
        prop::collection::btree_map(name::<SlotKey>(), hold(), 0..4),
        some(
            (prop::collection::btree_map(any::<String>(), any::<u32>(), 0..4), any::<u32>())
                .prop_map(|(slots, default_slots)| ConfiguredLimits { slots, default_slots })
                .boxed(),
        ),
    )
        .prop_map(|(slots, default_slots, held, configured)| Policy {
            slots,
            default_slots,
            held,
            configured,
        })
        .boxed()
}

fn hold() -> BoxedStrategy<QueueHold> {
    (timestamp(), any::<Option<String>>()).prop_map(|(since, by)| QueueHold { since, by }).boxed()
}
