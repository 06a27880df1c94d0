use super::{name, some, timestamp};
use longhaul_domain::{Configured, Hold, Policy, SlotKey};
use proptest::prelude::*;

pub(in crate::record::tests) fn policy() -> BoxedStrategy<Policy> {
    (
        prop::collection::btree_map(any::<String>(), any::<u32>(), 0..4),
        any::<u32>(),
        prop::collection::btree_map(name::<SlotKey>(), hold(), 0..4),
        some(
            (prop::collection::btree_map(any::<String>(), any::<u32>(), 0..4), any::<u32>())
                .prop_map(|(slots, default_slots)| Configured { slots, default_slots })
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

fn hold() -> BoxedStrategy<Hold> {
    (timestamp(), any::<Option<String>>()).prop_map(|(since, by)| Hold { since, by }).boxed()
}
