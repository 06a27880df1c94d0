//! Places in the event log, each in a small file.

use async_trait::async_trait;
use longhaul_ports::{BookmarkError, Bookmarks, Cursor};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What stands in front of the number, so that another version could write something else.
const MARK: &str = "1 ";

/// Places in the event log, each in a small file that only its owner may read.
#[derive(Clone, Debug)]
pub struct FileBookmarks {
    directory: PathBuf,
}

impl FileBookmarks {
    /// Keeps them in this directory, which is made with the first.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, reader: &str) -> io::Result<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if reader.is_empty() || !reader.bytes().all(is_plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its name is no file name"));
        }
        Ok(self.directory.join(reader))
    }

    fn read(&self, reader: &str) -> io::Result<Option<Cursor>> {
        match fs::read_to_string(self.path(reader)?) {
            Ok(text) => match text.trim_end().strip_prefix(MARK).map(str::parse) {
                Some(Ok(place)) => Ok(Some(Cursor(place))),
                Some(Err(_)) | None => {
                    Err(io::Error::new(io::ErrorKind::InvalidData, "its file is not what was written"))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, reader: &str, place: Cursor) -> io::Result<()> {
        let path = self.path(reader)?;
        if !self.directory.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            if let Some(above) = self.directory.parent() {
                sync(above)?;
            }
        }
        let temporary = self.directory.join(format!("{reader}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{MARK}{}", place.0)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync(&self.directory)
    }

    async fn aside<T: Send + 'static>(
        &self,
        reader: &str,
        tried: &'static str,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BookmarkError> {
        let (own, name) = (self.clone(), reader.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&own, &name)).await;
        let done = done.map_err(io::Error::other).and_then(|done| done);
        done.map_err(|error| BookmarkError { reader: reader.to_owned(), tried, source: Box::new(error) })
    }
}

#[async_trait]
impl Bookmarks for FileBookmarks {
    async fn find(&self, reader: &str) -> Result<Option<Cursor>, BookmarkError> {
        self.aside(reader, "read", Self::read).await
    }

    async fn keep(&self, reader: &str, place: Cursor) -> Result<(), BookmarkError> {
        self.aside(reader, "kept", move |own, name| own.write(name, place)).await
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn place_is_found_as_it_was_kept_by_whoever_comes_later() {
        let top = tempfile::tempdir().unwrap();
        let directory = top.path().join("webhooks");
        let bookmarks = FileBookmarks::new(directory.clone());
        assert_eq!(bookmarks.find("chat").await.unwrap(), None);
        bookmarks.keep("chat", Cursor(7)).await.unwrap();
        bookmarks.keep("chat", Cursor(4_711)).await.unwrap();
        bookmarks.keep("mail", Cursor(1)).await.unwrap();
        let later = FileBookmarks::new(directory.clone());
        assert_eq!(later.find("chat").await.unwrap(), Some(Cursor(4_711)));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("chat"))), (0o700, 0o600));
    }

    #[tokio::test]
    async fn damaged_place_and_a_name_that_leads_elsewhere_are_errors() {
        let top = tempfile::tempdir().unwrap();
        let bookmarks = FileBookmarks::new(top.path().to_owned());
        for damaged in ["", "1 ", "2 7", "1 seven"] {
            fs::write(top.path().join("chat"), damaged).unwrap();
            assert!(bookmarks.find("chat").await.is_err(), "{damaged:?}");
        }
        for name in ["", "../chat", "a/b", "."] {
            assert!(bookmarks.keep(name, Cursor(1)).await.is_err(), "{name:?}");
        }
    }
}
