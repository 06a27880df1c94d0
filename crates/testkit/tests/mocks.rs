//! Tests of the mocks: every port has a mock that returns the configured answers.
#![cfg(feature = "mock")]

use longhaul_domain::{AwakeTime, ProcessId, RandomBits, Timestamp};
use longhaul_ports::{
    Clock, EnvironmentStore, EnvironmentStoreError, EventCursor, IdSource, OutputLog, Prober, Spawner, Store,
};
use longhaul_testkit::mocks::{
    MockClock, MockEnvironmentStore, MockIdSource, MockOutputLog, MockProber, MockSpawner, MockStore,
};
use std::sync::Arc;

#[tokio::test]
async fn a_mocked_store_is_a_whole_store() {
    let mut mock = MockStore::new();
    mock.expect_load().times(1).returning(|ids| Ok(ids.iter().map(|_| None).collect()));
    mock.expect_prune().times(1).returning(|_, _| Ok(longhaul_ports::PrunedBatch::default()));
    mock.expect_queues().times(1).returning(|_| Ok(Vec::new()));
    mock.expect_end().times(1).returning(|| Ok(EventCursor(3)));
    mock.expect_nodes().times(1).returning(|| Ok(Vec::new()));
    let store: Arc<dyn Store> = Arc::new(mock);
    assert_eq!(store.load(&[ProcessId::new(uuid::Uuid::nil())]).await.unwrap(), [None]);
    assert_eq!(store.prune(&longhaul_domain::Retention::default(), 0).await.unwrap().total, 0);
    assert!(store.queues(None).await.unwrap().is_empty());
    assert_eq!(store.end().await.unwrap(), EventCursor(3));
    assert!(store.nodes().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_other_ports_are_mocked_too() {
    let mut spawner = MockSpawner::new();
    spawner.expect_capabilities().return_const(longhaul_domain::Capabilities::ALL);
    assert_eq!(Spawner::capabilities(&spawner), longhaul_domain::Capabilities::ALL);
    let mut prober = MockProber::new();
    prober.expect_answers().returning(|url, _| url == "http://up");
    assert!(prober.answers("http://up", std::time::Duration::ZERO).await);
    let mut output = MockOutputLog::new();
    output.expect_size_on_disk().returning(|_| Ok(5));
    assert_eq!(output.size_on_disk(ProcessId::new(uuid::Uuid::nil())).await.unwrap(), 5);
    let mut environments = MockEnvironmentStore::new();
    environments.expect_open().returning(|hash| Err(EnvironmentStoreError::Missing { hash: hash.clone() }));
    let missing = environments.open(&longhaul_domain::EnvironmentHash("none".to_owned())).await;
    assert!(matches!(missing, Err(EnvironmentStoreError::Missing { .. })));
    let mut clock = MockClock::new();
    clock.expect_now().return_const(Timestamp(1));
    clock.expect_awake().return_const(AwakeTime(2));
    assert_eq!((clock.now(), clock.awake()), (Timestamp(1), AwakeTime(2)));
    let mut ids = MockIdSource::new();
    ids.expect_chance().times(1).returning(|| RandomBits(7));
    assert_eq!(ids.chance().0, 7);
}
