//! Tests of the file with the cluster keys.

use crate::place::Place;
use longhaul_adapters::signing::{KeyFile, KeyFileError};
use rustix::fs::{FileType, Mode};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

#[test]
fn new_key_is_created_once_and_readable_only_for_its_user() {
    let top = tempfile::tempdir().unwrap();
    let file = KeyFile::at(top.path().join("config/longhaul/cluster.key"));
    assert!(matches!(file.keys(), Err(KeyFileError::Missing { .. })));
    let made = file.keys_or_new().unwrap();
    assert_eq!(file.keys_or_new().unwrap().signing(), made.signing());
    assert_eq!((made.trusted(), file.keys().unwrap().signing()), (None, made.signing()));
    assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o7777, 0o600);
    let directory = file.path().parent().unwrap();
    assert_eq!(fs::metadata(directory).unwrap().mode() & 0o7777, 0o700);
    let names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["cluster.key"], "no draft is left");
    let text = fs::read_to_string(file.path()).unwrap();
    let secret = text.split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    assert!(!format!("{made:?}").contains(&secret));
}

#[test]
fn concurrent_creations_of_a_key_get_the_same_key() {
    let top = tempfile::tempdir().unwrap();
    let file = KeyFile::at(top.path().join("cluster.key"));
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| file.keys_or_new().map(|keys| keys.signing().clone()))).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    let kept = file.keys().unwrap();
    assert!(made.iter().all(|id| id.as_ref().is_ok_and(|id| id == kept.signing())), "{made:?}");
}

#[test]
fn file_that_others_may_reach_is_refused() {
    let place = Place::new();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o700, 0o777, 0o4600] {
        fs::set_permissions(place.path(), Permissions::from_mode(mode)).unwrap();
        let error = place.file().keys_or_new().unwrap_err();
        assert!(matches!(error, KeyFileError::Open { .. }), "{mode:o}: {error:?}");
        assert!(error.help().contains("chmod 600"));
    }
    fs::set_permissions(place.path(), Permissions::from_mode(0o400)).unwrap();
    assert!(place.file().keys().is_ok());
}

#[test]
fn path_that_is_not_a_regular_file_of_the_user_is_refused() {
    let place = Place::new();
    let beside = |name: &str| KeyFile::at(place.0.path().join(name));
    symlink("cluster.key", beside("link").path()).unwrap();
    fs::create_dir(beside("directory").path()).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, beside("pipe").path(), FileType::Fifo, mode, 0).unwrap();
    for name in ["link", "directory", "pipe"] {
        let error = beside(name).keys_or_new().unwrap_err();
        assert!(matches!(error, KeyFileError::NoFile { .. }), "{name}: {error:?}");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.path(), Some(4_242), None).unwrap();
        let error = place.file().keys_or_new().unwrap_err();
        assert!(matches!(error, KeyFileError::ForeignOwner { owner: 4_242, .. }), "{error:?}");
    }
}

#[test]
fn broken_file_is_refused_without_a_word_of_its_keys() {
    let text = fs::read_to_string(Place::new().path()).unwrap();
    let secret = text.split_whitespace().nth(2).unwrap();
    let other = text.replace(&secret[..2], if secret.starts_with("00") { "11" } else { "00" });
    for broken in [
        String::new(),
        "# only words\n".to_owned(),
        text.replace("key-1", "key-2"),
        text[..text.len() - 2].to_owned(),
        other,
        format!("{text}more"),
        text.repeat(3),
        format!("{text}{}", "#".repeat(5_000)),
        text.replace(secret, &"g".repeat(64)),
    ] {
        let error = Place::with(&broken).file().keys_or_new().unwrap_err();
        assert!(matches!(error, KeyFileError::Unreadable { .. }), "{broken:?}: {error:?}");
        assert!(!error.to_string().contains(&secret[..16]));
    }
    let fine = Place::with(&format!("# of the team\n\n{text}"));
    let id = text.split_whitespace().nth(1).unwrap();
    assert_eq!(fine.file().keys().unwrap().signing().as_str(), id);
}

#[test]
fn new_key_comes_first_and_the_old_key_stays_until_it_is_removed() {
    let place = Place::new();
    let file = place.file();
    let old = file.keys().unwrap().signing().clone();
    assert!(matches!(file.retire(), Err(KeyFileError::Alone { .. })));
    let both = file.rotate().unwrap();
    assert_eq!(both.trusted(), Some(&old));
    let kept = file.keys().unwrap();
    assert_eq!((kept.signing(), kept.trusted()), (both.signing(), both.trusted()));
    assert!(matches!(file.rotate(), Err(KeyFileError::Rotating { .. })));
    let new = file.retire().unwrap();
    assert_eq!((new.signing(), new.trusted()), (both.signing(), None));
    assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o7777, 0o600);
    let (first, second) = (both.derived("x"), new.derived("x"));
    assert_eq!((first.len(), second.len(), first[0]), (2, 1, second[0]));
    assert_ne!(first[0], both.derived("y")[0]);
}
