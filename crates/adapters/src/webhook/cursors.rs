//! Cursors of event readers, stored in small files.

use crate::durable;
use async_trait::async_trait;
use longhaul_ports::{ClosedReader, EventCursor, ReaderCursorError, ReaderCursors};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Format version at the start of each file.
const MARK: &str = "1 ";

/// Stores the cursors of event readers in small private files.
///
/// - `READER` contains the durable cursor.
/// - `READER.note` contains a later cursor. It is overwritten in place without a sync. It also contains the durable
///   cursor at the time of the write. If the durable cursor has changed since then, the note is ignored.
/// - `READER.closed` contains the reason why the reader was closed. It stays until a user removes it or the reader is
///   reopened.
#[derive(Clone, Debug)]
pub struct FileReaderCursors {
    directory: PathBuf,
}

/// Kind of file that belongs to a reader. It determines the suffix of the file name.
#[derive(Clone, Copy, Debug)]
enum CursorFile {
    Kept,
    Draft,
    Note,
    Closed,
}

impl FileReaderCursors {
    /// Creates a cursor store in `directory`. The directory itself is created together with the first file.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, reader: &str, file: CursorFile) -> io::Result<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if reader.is_empty() || !reader.bytes().all(is_plain) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name cannot be used as a file name",
            ));
        }
        Ok(self.directory.join(format!("{reader}{}", file.ending())))
    }

    fn place(&self, reader: &str) -> io::Result<Option<EventCursor>> {
        let Some(kept) = self.durable_cursor(reader)? else { return Ok(None) };
        let note = read(self.path(reader, CursorFile::Note)?)?;
        let noted = note.as_deref().and_then(read_note);
        // A note that was damaged by a power cut is ignored.
        Ok(Some(noted.filter(|(base, _)| *base == kept).map_or(kept, |(_, place)| place)))
    }

    fn durable_cursor(&self, reader: &str) -> io::Result<Option<EventCursor>> {
        let Some(bytes) = read(self.path(reader, CursorFile::Kept)?)? else { return Ok(None) };
        match numbers(&bytes).as_deref() {
            Some([place]) => Ok(Some(EventCursor(*place))),
            Some(_) | None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file does not contain the written \
                    cursor",
            )),
        }
    }

    fn keep_place(&self, reader: &str, place: EventCursor) -> io::Result<()> {
        self.replace(reader, CursorFile::Kept, &format!("{MARK}{}\n", place.0))
    }

    fn note_place(&self, reader: &str, place: EventCursor) -> io::Result<()> {
        let Some(base) = self.durable_cursor(reader)? else { return self.keep_place(reader, place) };
        let path = self.path(reader, CursorFile::Note)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // All notes have the same length, so that a new note overwrites the old note completely.
        file.write_all_at(format!("{MARK}{:020} {:020}\n", base.0, place.0).as_bytes(), 0)
    }

    fn close_reader(&self, reader: &str, why: &str) -> io::Result<()> {
        self.replace(reader, CursorFile::Closed, why)
    }

    fn closed_reader(&self, reader: &str) -> io::Result<Option<ClosedReader>> {
        let path = self.path(reader, CursorFile::Closed)?;
        let why = read(path.clone())?.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(why.map(|why| ClosedReader { why, remedy: format!("remove {}", path.display()) }))
    }

    fn reopen_reader(&self, reader: &str) -> io::Result<()> {
        match fs::remove_file(self.path(reader, CursorFile::Closed)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replace(&self, reader: &str, file: CursorFile, text: &str) -> io::Result<()> {
        let path = self.path(reader, file)?;
        durable::make_private_directory(&self.directory)?;
        durable::replace(&path, &self.path(reader, CursorFile::Draft)?, text.as_bytes())
    }

    async fn aside<T: Send + 'static>(
        &self,
        reader: &str,
        tried: &'static str,
        work: impl FnOnce(&Self, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ReaderCursorError> {
        let (own, name) = (self.clone(), reader.to_owned());
        let done = tokio::task::spawn_blocking(move || work(&own, &name)).await;
        let done = done.map_err(io::Error::other).and_then(|done| done);
        done.map_err(|error| ReaderCursorError { reader: reader.to_owned(), tried, source: Box::new(error) })
    }
}

#[async_trait]
impl ReaderCursors for FileReaderCursors {
    async fn find(&self, reader: &str) -> Result<Option<EventCursor>, ReaderCursorError> {
        self.aside(reader, "read", Self::place).await
    }

    async fn keep(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError> {
        self.aside(reader, "kept", move |own, name| own.keep_place(name, place)).await
    }

    async fn note(&self, reader: &str, place: EventCursor) -> Result<(), ReaderCursorError> {
        self.aside(reader, "noted", move |own, name| own.note_place(name, place)).await
    }

    async fn close(&self, reader: &str, why: &str) -> Result<(), ReaderCursorError> {
        let why = format!("{why}\n");
        self.aside(reader, "closed", move |own, name| own.close_reader(name, &why)).await
    }

    async fn closed(&self, reader: &str) -> Result<Option<ClosedReader>, ReaderCursorError> {
        self.aside(reader, "read", Self::closed_reader).await
    }

    async fn reopen(&self, reader: &str) -> Result<(), ReaderCursorError> {
        self.aside(reader, "opened", Self::reopen_reader).await
    }
}

impl CursorFile {
    const fn ending(self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::Draft => ".new",
            Self::Note => ".note",
            Self::Closed => ".closed",
        }
    }
}

fn read(path: PathBuf) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parses a note. Returns the durable cursor at the time of the write, and the cursor of the note.
fn read_note(bytes: &[u8]) -> Option<(EventCursor, EventCursor)> {
    match numbers(bytes)?.as_slice() {
        [base, place] => Some((EventCursor(*base), EventCursor(*place))),
        _ => None,
    }
}

fn numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let text = str::from_utf8(bytes).ok()?.trim_end().strip_prefix(MARK)?;
    text.split(' ').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[tokio::test]
    async fn only_the_owner_can_access_the_cursor_files() {
        let top = tempfile::tempdir().unwrap();
        let directory = top.path().join("webhooks");
        let bookmarks = FileReaderCursors::new(directory.clone());
        bookmarks.keep("chat", EventCursor(7)).await.unwrap();
        bookmarks.note("chat", EventCursor(8)).await.unwrap();
        bookmarks.close("chat", "gone").await.unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for name in ["chat", "chat.note", "chat.closed"] {
            assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn damaged_place_is_an_error() {
        let top = tempfile::tempdir().unwrap();
        let bookmarks = FileReaderCursors::new(top.path().to_owned());
        for damaged in ["", "1 ", "2 7", "1 seven", "1 7 8"] {
            fs::write(top.path().join("chat"), damaged).unwrap();
            assert!(bookmarks.find("chat").await.is_err(), "{damaged:?}");
        }
    }

    #[tokio::test]
    async fn damaged_note_is_none() {
        let top = tempfile::tempdir().unwrap();
        let bookmarks = FileReaderCursors::new(top.path().to_owned());
        bookmarks.keep("chat", EventCursor(7)).await.unwrap();
        bookmarks.note("chat", EventCursor(9)).await.unwrap();
        let note = top.path().join("chat.note");
        let whole = fs::read(&note).unwrap();
        assert_eq!(bookmarks.find("chat").await.unwrap(), Some(EventCursor(9)));
        for damaged in [&[0; 44][..], b"", b"1 7", b"1 7 9 9", &whole[..22]] {
            fs::write(&note, damaged).unwrap();
            assert_eq!(bookmarks.find("chat").await.unwrap(), Some(EventCursor(7)), "{damaged:?}");
        }
    }

    #[tokio::test]
    async fn way_out_names_the_file_that_has_to_go() {
        let top = tempfile::tempdir().unwrap();
        let bookmarks = FileReaderCursors::new(top.path().to_owned());
        bookmarks.close("chat", "gone").await.unwrap();
        let closed = bookmarks.closed("chat").await.unwrap().unwrap();
        let file = closed.remedy.strip_prefix("remove ").unwrap();
        fs::remove_file(file).unwrap();
        assert_eq!(bookmarks.closed("chat").await.unwrap(), None);
    }
}
