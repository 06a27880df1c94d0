//! Tests of the outbox with foreign or damaged files, full disks and crashes.

use super::*;
use longhaul_adapters::outbox::ForeignOutbox;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let node = Node::new();
    let (store, _) = node.join().await;
    store.submit(node.launch()).await.unwrap();
    let names = ["outbox.sqlite", "outbox.sqlite-shm", "outbox.sqlite-wal"];
    for name in names {
        let mode = fs::metadata(node.directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn file_that_is_not_an_outbox_is_refused_and_left_unchanged() {
    let node = Node::new();
    let foreign = node.directory.path().join("foreign.sqlite");
    rusqlite_file(&foreign, 7, 1);
    let newer = node.directory.path().join("newer.sqlite");
    drop(node.open_at(&newer, "here").await.unwrap());
    rusqlite_file(&newer, 0x4c48_6f75, 3);
    let older = node.directory.path().join("older.sqlite");
    drop(node.open_at(&older, "here").await.unwrap());
    rusqlite_file(&older, 0x4c48_6f75, 1);
    let garbage = node.directory.path().join("garbage.sqlite");
    fs::write(&garbage, [7; 4_096]).unwrap();
    let cut = node.directory.path().join("cut.sqlite");
    fs::write(&cut, "").unwrap();
    let directory = node.directory.path().join("directory.sqlite");
    fs::create_dir(&directory).unwrap();
    for path in [&foreign, &garbage, &cut, &newer, &older, &directory] {
        let before = fs::read(path).ok();
        let refused = node.open_at(path, "here").await.unwrap_err();
        if let StoreError::Corrupt { what, remedy } = &refused {
            assert!(what.contains(path.to_str().unwrap()) && remedy.contains("move the file away"), "{what}");
        }
        let is_other = matches!(refused, StoreError::Format { found: 1 | 3, supported: 2 });
        let is_foreign = matches!(refused, StoreError::Corrupt { .. });
        assert!(
            if [&newer, &older].contains(&path) { is_other } else { is_foreign },
            "{path:?}: {refused:?}"
        );
        assert_eq!(fs::read(path).ok(), before, "{path:?}");
    }
}

#[tokio::test]
async fn a_damaged_page_is_found_when_the_outbox_is_opened() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    for _ in 0..50 {
        store.submit(node.launch_for(Some(&lease))).await.unwrap();
    }
    drop(store);
    let mut bytes = fs::read(node.path()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    fs::write(node.path(), &bytes).unwrap();
    let refused = node.open_at(&node.path(), "here").await;
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    assert_eq!(fs::read(node.path()).unwrap(), bytes, "the file was not changed");
}

#[tokio::test]
async fn live_processes_of_one_store_are_not_restored_to_another_store() {
    let node = Node::new();
    let (store, lease) = node.join().await;
    let launch = node.launch_for(Some(&lease));
    let id = launch.process.id;
    store.submit(launch).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    drop(store);
    drop(node.open_at(&node.path(), "here under another name").await.expect("the same store"));
    node.remote.memory.lose_everything();
    let refused = node.open_at(&node.path(), "elsewhere").await.unwrap_err();
    let StoreError::Unavailable { source } = refused else { panic!("{refused:?}") };
    let foreign = source.downcast_ref::<ForeignOutbox>().expect("nothing is damaged");
    assert_eq!((foreign.live, foreign.address.as_str()), (id, "here under another name"));
    assert!(foreign.help().contains("use the store here under another name"), "{}", foreign.help());
    assert!(OutboxStore::check_unfounded(&node.path(), "elsewhere").is_err());
    assert!(OutboxStore::check_unfounded(&node.path(), "here under another name").is_ok());

    // An outbox whose processes have all ended may be used with another store.
    let store = node.open_at(&node.path(), "here under another name").await.unwrap();
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    end(&node, &store, &lease, id).await;
    drop(store);
    node.remote.memory.lose_everything();
    let store = node.open_at(&node.path(), "elsewhere").await.unwrap();
    assert_eq!(recalled(&store, id).await, None);
}

#[tokio::test]
async fn no_launch_is_accepted_without_disk_space() {
    let node = Node::new();
    let clock = Arc::new(node.clock.clone());
    let options = OutboxOptions { max_kib: Some(64), ..OutboxOptions::at("here") };
    let store = OutboxStore::open(Arc::new(node.remote.clone()), &node.path(), clock, options).await.unwrap();
    let lease = store.register(&facts("me")).await.unwrap();
    let (mut accepted, mut refused) = (Vec::new(), None);
    for _ in 0..500 {
        let launch = node.launch_for(Some(&lease));
        let id = launch.process.id;
        match store.submit(launch).await {
            Ok(_) => accepted.push(id),
            Err(error) => {
                refused = Some((id, error));
                break;
            }
        }
    }
    let (id, error) = refused.expect("fewer records fit into 64 KiB");
    assert!(matches!(error, StoreError::Refused(StoreRejection::Full)), "{error:?}");
    assert_eq!(there(&node.remote, id).await, None, "the store received no request");
    for id in &accepted {
        end(&node, &store, &lease, *id).await;
    }
    node.clock.advance(std::time::Duration::from_secs(601));
    let lease = store.register(&facts("me")).await.unwrap();
    store.reconcile(&lease).await.unwrap();
    let mut rounds = 0;
    while store.submit(node.launch()).await.is_err() {
        rounds += 1;
        assert!(rounds < 100, "writes succeed once there is free space");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Creates a SQLite database with this application id and version.
fn rusqlite_file(path: &Path, application: u32, version: u32) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
    connection.pragma_update(None, "application_id", application).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS one (one)").unwrap();
}
