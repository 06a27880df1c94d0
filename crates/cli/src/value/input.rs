//! Where a command reads its standard input from.

use std::ffi::OsString;
use std::path::PathBuf;

/// Is what `--stdin` names: `-`, `none`, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputFrom {
    /// The standard input of this program, which hands it over.
    Own,
    /// Nothing: the command reads an empty input.
    Nothing,
    /// A file.
    File(PathBuf),
}

impl From<OsString> for InputFrom {
    fn from(word: OsString) -> Self {
        match word.to_str() {
            Some("-") => Self::Own,
            Some("none") => Self::Nothing,
            Some(_) | None => Self::File(word.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dash_and_none_are_words_and_a_path_names_a_file_of_that_name() {
        let read = |word: &str| InputFrom::from(OsString::from(word));
        assert_eq!(read("-"), InputFrom::Own);
        assert_eq!(read("none"), InputFrom::Nothing);
        for file in ["./none", "./-", "in.txt"] {
            assert_eq!(read(file), InputFrom::File(file.into()));
        }
    }
}
