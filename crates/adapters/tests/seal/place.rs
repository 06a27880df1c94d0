//! A key file in a temporary directory.

use longhaul_adapters::signing::{ClusterSigner, KeyFile};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// A temporary directory with a key file.
pub(crate) struct Place(pub(crate) tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.file().keys_or_new().unwrap();
        place
    }

    pub(crate) fn with(text: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path(), text).unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o600)).unwrap();
        place
    }

    pub(crate) fn file(&self) -> KeyFile {
        KeyFile::at(self.path())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("cluster.key")
    }
}

pub(crate) fn signer(place: &Place) -> ClusterSigner {
    ClusterSigner::open(place.file(), Duration::from_secs(86_400)).unwrap()
}
