//! Pure functions over the output of a process: splitting lines, building pages, searching, and removing control bytes.
//!
//! Output consists of arbitrary bytes. It may stop in the middle of a line or a character, and its author may try to
//! attack the reader's terminal. This crate splits such bytes without losing any ([`LineSplitter`], [`last_lines`],
//! [`fold_redraws`]) and makes them safe to display ([`Sanitizer`], [`clean_label`]). The crate performs no I/O.
//! Between two chunks it stores only the state of its parsers.
//!
//! [`page`] and [`tail`] are for readers with a size limit. The caller fills a [`Window`] with bytes of the output log.
//! It gets the part that fits, and an [`OutputCursor`] at which to continue. A [`Searcher`] finds matching lines in a
//! stream of bytes.
//!
//! # Examples
//!
//! ```
//! use longhaul_view::{TerminalPolicy, last_lines, sanitize};
//!
//! let output = b"one\ntwo \x1b]0;owned\x07\x1b[31mred\x1b[0m\nthree";
//!
//! assert_eq!(last_lines(output, 1), b"three");
//! assert_eq!(sanitize(output, TerminalPolicy::Plain), b"one\ntwo red\nthree");
//! ```

mod budget;
mod cursor;
mod entry;
mod folder;
mod junit;
mod label;
mod lines;
mod page;
mod pattern;
mod redraw;
mod sanitizer;
mod search;
mod tail;
mod window;

pub use budget::json_length;
pub use cursor::{CursorError, OutputCursor, StreamSelection};
pub use folder::LineCollapser;
pub use junit::{JUNIT_END, JunitResult, JunitTest, JunitTotals, junit_start, junit_test};
pub use label::{clean_json, clean_label};
pub use lines::{LineSplitter, RawLine, last_lines};
pub use page::{Page, PageStop, RenderMode, page};
pub use pattern::{CaseMode, Pattern, PatternError};
pub use redraw::fold_redraws;
pub use sanitizer::{Sanitizer, TerminalPolicy, sanitize};
pub use search::{SearchHit, Searcher};
pub use tail::{TailBuffer, tail};
pub use window::{Window, WindowEnd};
