//! The output of an attempt on disk: its file formats, its writer, its reader.
//!
//! | file | content |
//! | --- | --- |
//! | `output.log` | the bytes; the offset of a byte never changes |
//! | `output.idx` | 16-byte entries: end offset of a run (56 bits) and its stream (top 8 bits), steady time of its start; the file is created with the first entry |
//! | `output.gap` | four little-endian `u64`: the range dropped from the log, the range dropped from the index |
//! | `output.lost` | 16-byte entries: an offset of the log, and the number of bytes that could not be stored there; both little-endian `u64` |
//! | `output.tail0`, `output.tail1`, `output.idx0`, `output.idx1` | the tails of log and index; only where holes cannot be punched |
//!
//! The last free space of a disk is reserved for records. Output that arrives when only this space is left is dropped,
//! and counted as lost at its offset.
//!
//! A tail file starts with a header of 16 bytes: `LHTAIL1` and a zero byte, then the offset of the first byte of its
//! content.

mod entry;
mod gap;
mod headroom;
mod index;
mod loss;
mod offset;
mod reader;
mod segments;
mod writer;

pub use entry::{IndexEntry, StreamId};
pub use headroom::leave_headroom;
pub use loss::Loss;
pub use reader::{LOOKBACK_BYTES, OutputEntries, OutputReader, OutputRun, ReadChunk};
pub(crate) use writer::{OutputWriter, PumpStep, punch};
