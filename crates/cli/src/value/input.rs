//! Sources of a command's standard input.

use std::ffi::OsString;
use std::path::PathBuf;

/// Value of `--stdin`: `-`, `none`, the path of one of this program's file descriptors, or the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdinArg {
    /// The standard input of this program. This program forwards the data to the command.
    Own,
    /// Another file descriptor of this program, given as `/dev/fd/3`, `/proc/self/fd/3` or `<(…)` of a shell. This
    /// program reads from the descriptor and forwards the data, because in another program such a path names a
    /// different file.
    Descriptor(u32),
    /// Empty input.
    Nothing,
    /// A file that the command reads directly.
    File(PathBuf),
}

impl From<OsString> for StdinArg {
    fn from(word: OsString) -> Self {
        match word.to_str() {
            Some("-") => Self::Own,
            Some("none") => Self::Nothing,
            Some(path) => match descriptor(path) {
                Some(0) => Self::Own,
                Some(number) => Self::Descriptor(number),
                None => Self::File(word.into()),
            },
            None => Self::File(word.into()),
        }
    }
}

/// Returns the file descriptor number if the path names a file descriptor of the program that opens the path.
fn descriptor(path: &str) -> Option<u32> {
    const PLACES: [&str; 3] = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"];
    if path == "/dev/stdin" {
        return Some(0);
    }
    PLACES.iter().find_map(|place| path.strip_prefix(place))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dash_and_none_are_words_and_a_path_names_a_file_of_that_name() {
        let read = |word: &str| StdinArg::from(OsString::from(word));
        assert_eq!(read("-"), StdinArg::Own);
        assert_eq!(read("none"), StdinArg::Nothing);
        for own in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            assert_eq!(read(own), StdinArg::Own);
        }
        for other in ["/dev/fd/63", "/proc/self/fd/63"] {
            assert_eq!(read(other), StdinArg::Descriptor(63));
        }
        for file in ["./none", "./-", "in.txt", "/dev/null", "/dev/fd/x"] {
            assert_eq!(read(file), StdinArg::File(file.into()));
        }
    }
}
