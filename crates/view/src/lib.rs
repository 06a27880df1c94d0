//! Pure functions over the output of a process: lines, tails, control bytes.
//!
//! Output is bytes. It may stop in the middle of a line or of a character, it may hold anything, and whoever wrote
//! it may wish the reader harm. This crate takes such bytes apart without losing any ([`Lines`], [`last_lines`],
//! [`fold_redraws`]) and makes them fit to be shown ([`Sanitizer`], [`clean_label`]). It reads nothing, writes
//! nothing and keeps nothing but the state of a parser between two chunks.
//!
//! # Examples
//!
//! ```
//! use longhaul_view::{Terminal, last_lines, sanitize};
//!
//! let output = b"one\ntwo \x1b]0;owned\x07\x1b[31mred\x1b[0m\nthree";
//!
//! assert_eq!(last_lines(output, 1), b"three");
//! assert_eq!(sanitize(output, Terminal::Plain), b"one\ntwo red\nthree");
//! ```

mod label;
mod lines;
mod redraw;
mod sanitizer;

pub use label::clean_label;
pub use lines::{Line, Lines, last_lines};
pub use redraw::fold_redraws;
pub use sanitizer::{Sanitizer, Terminal, sanitize};
