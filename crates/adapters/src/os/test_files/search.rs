//! Finds test reports below a directory. No symbolic link is followed, except in the path of the directory itself.

use super::open_regular;
use longhaul_domain::Timestamp;
use longhaul_ports::{
    FoundReport, FoundReports, MAX_REFUSED_REPORTS, MAX_REPORTS, RefusedReport, ReportDirectory,
    ReportIdentity,
};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum number of names that one search reads.
const MAX_NAMES: usize = 100_000;

/// Returns the regular files that match a pattern, in the order of their paths.
pub(super) fn find(directory: &str, pattern: &str) -> io::Result<FoundReports> {
    let (base, rest) = base_of(directory, pattern);
    let mut search = ReportSearch { found: FoundReports::default(), names_left: MAX_NAMES };
    let parts: Vec<&str> = parts_of(rest).collect();
    let prefix = if base == "/" && pattern.starts_with('/') { "/" } else { "" };
    search.descend(open_base(base)?, prefix, &parts)?;
    search.found.reports.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(search.found)
}

/// Opens a report that [`find`] has found, if it was not changed or replaced since then.
pub(super) fn open(directory: &str, report: &FoundReport) -> io::Result<File> {
    let file = open_path(directory, &report.path)?;
    if identity_of_report(&file.metadata()?) != report.identity {
        return Err(io::Error::other("it was changed or replaced while it was read"));
    }
    Ok(file)
}

/// Returns the directory that a pattern names without `*`.
pub(super) fn directory(directory: &str, pattern: &str) -> io::Result<ReportDirectory> {
    let (base, rest) = base_of(directory, pattern);
    let mut parts: Vec<&str> = parts_of(rest).collect();
    parts.pop();
    let mut at = open_base(base)?;
    let mut path = if base == directory { String::new() } else { base.to_owned() };
    for part in parts.into_iter().take_while(|part| !part.contains('*')) {
        at = open_directory(&at, part)?;
        path.push_str(part);
        path.push('/');
    }
    let metadata = File::from(at).metadata()?;
    let born = metadata.created().map_or(0, nanoseconds);
    let path = if path.is_empty() { directory.to_owned() } else { path };
    Ok(ReportDirectory { path, identity: ReportIdentity([metadata.dev(), metadata.ino(), born, 0]) })
}

fn identity_of_report(metadata: &Metadata) -> ReportIdentity {
    let changed = metadata.modified().map_or(0, nanoseconds);
    ReportIdentity([metadata.dev(), metadata.ino(), changed, metadata.len()])
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn open_path(directory: &str, path: &str) -> io::Result<File> {
    let (base, rest) = base_of(directory, path);
    let mut parts: Vec<&str> = parts_of(rest).collect();
    let name = parts.pop().ok_or(Errno::NOENT)?;
    let mut at = open_base(base)?;
    for part in parts {
        at = open_directory(&at, part)?;
    }
    open_regular(&at, name, OFlags::RDONLY)
}

fn base_of<'a>(directory: &'a str, path: &'a str) -> (&'a str, &'a str) {
    path.strip_prefix('/').map_or((directory, path), |rest| ("/", rest))
}

fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn open_base(directory: &str) -> io::Result<OwnedFd> {
    Ok(File::open(directory)?.into())
}

fn open_directory(at: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    openat(at, name, flags, Mode::empty())
}

struct ReportSearch {
    found: FoundReports,
    names_left: usize,
}

impl ReportSearch {
    /// Searches an open directory for files that match the given parts of a pattern. `path` is the path of the
    /// directory with its final slash.
    fn descend(&mut self, at: OwnedFd, path: &str, parts: &[&str]) -> io::Result<()> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        let names = if part.contains('*') { self.matching(&at, part)? } else { vec![(*part).to_owned()] };
        for name in names {
            if self.found.has_more {
                break;
            }
            if rest.is_empty() {
                self.add(&at, path, &name)?;
                continue;
            }
            match open_directory(&at, &name) {
                Ok(below) => self.descend(below, &format!("{path}{name}/"), rest)?,
                Err(Errno::NOENT) => {}
                // A `*` may also match files, which cannot be searched. A directory that the pattern names must be
                // readable, and a link to a directory is reported.
                Err(Errno::NOTDIR | Errno::LOOP)
                    if part.contains('*') && !is_linked_directory(&at, &name) => {}
                Err(error @ (Errno::NOTDIR | Errno::LOOP | Errno::ACCESS)) => {
                    self.refuse(&at, path, &name, &error.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn matching(&mut self, at: &OwnedFd, pattern: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(at)? {
            let entry = entry?;
            self.names_left = self.names_left.saturating_sub(1);
            if self.names_left == 0 {
                return Err(io::Error::other("the pattern selects too many names"));
            }
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
                && (!name.starts_with('.') || pattern.starts_with('.'))
                && matches(pattern, name)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn refuse(&mut self, at: &OwnedFd, path: &str, name: &str, error: &io::Error) {
        if self.found.refused.len() < MAX_REFUSED_REPORTS {
            let why = kind_of(at, name, error);
            self.found.refused.push(RefusedReport { path: format!("{path}{name}"), why });
        }
    }

    fn add(&mut self, at: &OwnedFd, path: &str, name: &str) -> io::Result<()> {
        let file = match open_regular(at, name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.refuse(at, path, name, &error);
                }
                return Ok(());
            }
        };
        if self.found.reports.len() >= MAX_REPORTS {
            self.found.has_more = true;
            return Ok(());
        }
        let metadata = file.metadata()?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.found.reports.push(FoundReport {
            path: format!("{path}{name}"),
            size: metadata.len(),
            changed_at: Timestamp(i64::try_from(changed.as_millis()).unwrap_or(i64::MAX)),
            identity: identity_of_report(&metadata),
        });
        Ok(())
    }
}

/// Returns true if a name is a symbolic link to a directory.
fn is_linked_directory(at: &OwnedFd, name: &str) -> bool {
    statat(at, name, AtFlags::empty())
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Returns the reason why a file cannot be read as a report.
fn kind_of(at: &OwnedFd, name: &str, error: &io::Error) -> String {
    let kind = statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Symlink) => "it is a symbolic link, and links are not followed".to_owned(),
        Ok(FileType::Directory) if error.kind() != io::ErrorKind::PermissionDenied => {
            "it is a directory".to_owned()
        }
        Ok(FileType::Fifo) => "it is a named pipe".to_owned(),
        Ok(FileType::Socket) => "it is a socket".to_owned(),
        Ok(FileType::CharacterDevice | FileType::BlockDevice) => "it is a device".to_owned(),
        Ok(_) | Err(_) => error.to_string(),
    }
}

/// Returns true if a name matches a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at.saturating_add(part.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn star_stands_for_any_characters_of_one_name() {
        for (pattern, name, is_match) in [
            ("*.xml", "a.xml", true),
            ("TEST-*.xml", "TEST-a.b.xml", true),
            ("TEST-*.xml", "test-a.xml", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b", "ab", true),
            ("a*b*b", "ab", false),
            ("plain", "plainer", false),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn only_regular_files_are_found_and_no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path();
        for name in ["out/one", "out/two", "elsewhere"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        for name in ["out/one/b.xml", "out/two/a.xml", "out/two/a.txt", "elsewhere/c.xml"] {
            fs::write(base.join(name), name).unwrap();
        }
        symlink(base.join("elsewhere"), base.join("out/linked")).unwrap();
        symlink(base.join("elsewhere/c.xml"), base.join("out/one/link.xml")).unwrap();
        fs::create_dir(base.join("out/one/directory.xml")).unwrap();
        let base = base.to_str().unwrap();
        let paths = |pattern: &str| -> Vec<String> {
            find(base, pattern).unwrap().reports.into_iter().map(|found| found.path).collect()
        };
        assert_eq!(paths("out/*/*.xml"), ["out/one/b.xml", "out/two/a.xml"]);
        assert_eq!(paths("./out/two/a.txt"), ["out/two/a.txt"]);
        assert_eq!(paths("nothing/*.xml"), [""; 0]);
        for (pattern, reason) in [
            ("out/one/link.xml", "symbolic link"),
            ("out/one/directory.xml", "directory"),
            ("out/linked/c.xml", "symbolic link"),
        ] {
            let found = find(base, pattern).unwrap();
            assert!(found.reports.is_empty() && found.refused[0].why.contains(reason), "{found:?}");
        }
        let absolute = format!("{base}/out/one/*.xml");
        assert_eq!(paths(&absolute), [format!("{base}/out/one/b.xml")]);
        assert!(open_path(base, "out/one/link.xml").is_err());
        assert!(open_path(base, "out/linked/c.xml").is_err());
        assert!(open_path(base, "out/one/b.xml").is_ok());
        let refused: Vec<String> =
            find(base, "out/*/*.xml").unwrap().refused.into_iter().map(|refused| refused.path).collect();
        assert!(
            refused.contains(&"out/linked".to_owned()),
            "a link may have replaced a directory: {refused:?}"
        );
    }

    #[test]
    fn report_that_was_replaced_or_changed_after_the_search_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_str().unwrap();
        let path = directory.path().join("a.xml");
        fs::write(&path, "one").unwrap();
        let found = |pattern| find(base, pattern).unwrap().reports.remove(0);
        let first = found("a.xml");
        assert!(open(base, &first).is_ok());
        fs::write(directory.path().join("b.xml"), "two").unwrap();
        fs::rename(directory.path().join("b.xml"), &path).unwrap();
        assert!(open(base, &first).unwrap_err().to_string().contains("changed or replaced"));
        let second = found("a.xml");
        fs::write(&path, "three").unwrap();
        assert!(open(base, &second).is_err());
    }

    #[test]
    fn directory_with_reports_has_another_identity_after_its_replacement() {
        let top = tempfile::tempdir().unwrap();
        let (base, build) = (top.path().to_str().unwrap(), top.path().join("build"));
        assert!(directory(base, "build/*.xml").is_err());
        fs::create_dir_all(build.join("a")).unwrap();
        let first = directory(base, "./build/*/TEST-*.xml").unwrap();
        assert_eq!(first.path, "build/");
        assert_eq!(directory(base, "build/x.xml").unwrap(), first);
        assert_eq!(directory(base, "x.xml").unwrap().path, base);
        assert_eq!(directory(base, &format!("{base}/build/*.xml")).unwrap().identity, first.identity);
        fs::rename(&build, top.path().join("old")).unwrap();
        fs::create_dir(&build).unwrap();
        assert_ne!(directory(base, "build/*.xml").unwrap().identity, first.identity);
        fs::remove_dir(&build).unwrap();
        symlink(top.path().join("old"), &build).unwrap();
        assert!(directory(base, "build/*.xml").is_err());
    }

    #[test]
    fn search_says_that_more_reports_match_than_it_returns() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().to_str().unwrap();
        for number in 0..MAX_REPORTS {
            fs::write(directory.path().join(format!("{number}.xml")), "").unwrap();
        }
        let found = find(base, "*.xml").unwrap();
        assert_eq!((found.reports.len(), found.has_more), (MAX_REPORTS, false));
        fs::write(directory.path().join("more.xml"), "").unwrap();
        let found = find(base, "*.xml").unwrap();
        assert_eq!((found.reports.len(), found.has_more), (MAX_REPORTS, true));
    }
}
