//! Where a command reads its standard input from.

use std::ffi::OsString;
use std::path::PathBuf;

/// Is what `--stdin` names: `-`, `none`, a descriptor of this program, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdinArg {
    /// The standard input of this program, which hands it over.
    Own,
    /// Another descriptor of this program, which hands over what is read there: `/dev/fd/3`, `/proc/self/fd/3`, `<(…)` of a
    /// shell. Whoever else opens such a path finds another file there.
    Descriptor(u32),
    /// Nothing: the command reads an empty input.
    Nothing,
    /// A file.
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

/// The number of the descriptor that a path names in whichever program opens it.
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
