//! Contract of every id source.

use crate::suite::must;
use longhaul_ports::IdSource;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Fixture for one rule: an id source.
#[derive(Debug)]
pub struct IdSourceFixture {
    /// Id source under test.
    pub ids: Arc<dyn IdSource>,
}

impl IdSourceFixture {
    /// Creates a fixture around an id source.
    #[must_use]
    pub fn new(ids: Arc<dyn IdSource>) -> Self {
        Self { ids }
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> IdSourceFixture) -> IdSourceFixture {
    open()
}

/// No id is generated twice, even if several tasks generate ids concurrently.
pub async fn no_id_is_generated_twice(world: &IdSourceFixture) {
    let drawers: Vec<_> = (0..4)
        .map(|_| {
            let ids = Arc::clone(&world.ids);
            tokio::spawn(async move {
                (0..2_500).map(|_| (*ids.process().as_uuid(), *ids.op().as_uuid())).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut drawn = BTreeSet::new();
    for drawer in drawers {
        for (process, op) in must(drawer.await) {
            assert!(drawn.insert(process));
            assert!(drawn.insert(op));
        }
    }
}

/// Every digit of an id is random, including the first digit, so that a short prefix suffices to identify a process.
pub async fn every_digit_of_an_id_is_random(world: &IdSourceFixture) {
    let drawn: Vec<String> = (0..4_096).map(|_| world.ids.process().to_string()).collect();
    for place in 0..8 {
        for digit in "0123456789abcdef".chars() {
            let times = drawn.iter().filter(|id| id.chars().nth(place) == Some(digit)).count();
            assert!(
                (128..=512).contains(&times),
                "{digit} stands {times} times at place {place} of 4096 ids"
            );
        }
    }
}

/// Ids are UUIDs of version 4.
pub async fn ids_are_uuids_of_version_4(world: &IdSourceFixture) {
    for _ in 0..100 {
        assert_eq!(world.ids.process().as_uuid().get_version_num(), 4);
    }
}

/// Each bit of a random number is set about half of the time.
pub async fn every_bit_of_a_random_number_is_random(world: &IdSourceFixture) {
    let drawn: Vec<u64> = (0..2_048).map(|_| world.ids.chance().0).collect();
    for bit in 0..64 {
        let set = drawn.iter().filter(|bits| (*bits >> bit) & 1 == 1).count();
        assert!((768..=1_280).contains(&set), "bit {bit} is set {set} times of 2048");
    }
}

/// Generates one test for each rule about id sources.
///
/// Takes a function that opens an [`IdSourceFixture`].
#[macro_export]
macro_rules! ids_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, ids,
            no_id_is_generated_twice
            every_digit_of_an_id_is_random
            ids_are_uuids_of_version_4
            every_bit_of_a_random_number_is_random
        }
    };
}
