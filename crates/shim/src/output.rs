//! The output of an attempt on disk: its form, its writer, its reader.
//!
//! | file | content |
//! | --- | --- |
//! | `output.log` | the bytes, each at its own offset for ever |
//! | `output.idx` | 16-byte entries: end offset of a run (56 bits) and its stream (top 8 bits), steady time of its start; none before the first |
//! | `output.gap` | four little-endian `u64`: the dropped range of the log, the dropped range of the index |
//! | `output.lost` | 16-byte entries: an offset of the log, and how many bytes could not be stored there; both little-endian `u64` |
//! | `output.tail0`, `output.tail1`, `output.idx0`, `output.idx1` | only where holes cannot be punched |
//!
//! The last room of a disk is left to records: output that comes then is dropped, and counted where it is missing.
//!
//! A tail file begins with 16 bytes: `LHTAIL1` and a zero byte, then the offset of its first byte.

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
pub(crate) use writer::{OutputWriter, PumpStep};
