//! Pure functions over the output of a process: lines, pages, searches, control bytes.
//!
//! Output is bytes. It may stop in the middle of a line or of a character, it may hold anything, and whoever wrote
//! it may wish the reader harm. This crate takes such bytes apart without losing any ([`LineSplitter`], [`last_lines`],
//! [`fold_redraws`]) and makes them fit to be shown ([`Sanitizer`], [`clean_label`]). It reads nothing, writes
//! nothing and keeps nothing but the state of a parser between two chunks.
//!
//! Readers with little room get [`page`] and [`tail`]: whoever reads the log fills a [`Window`] with some of its bytes,
//! and is told what of them fits, and the [`OutputCursor`] to go on with. A [`Searcher`] finds lines in a stream of bytes.
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
pub use label::{clean_json, clean_label};
pub use lines::{LineSplitter, RawLine, last_lines};
pub use page::{Page, PageStop, RenderMode, page};
pub use pattern::{CaseMode, Pattern, PatternError};
pub use redraw::fold_redraws;
pub use sanitizer::{Sanitizer, TerminalPolicy, sanitize};
pub use search::{SearchHit, Searcher};
pub use tail::{TailBuffer, tail};
pub use window::{Window, WindowEnd};
