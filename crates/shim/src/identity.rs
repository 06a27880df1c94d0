//! The identity of an attempt, in the file `identity`. The file is durable before the program starts.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use crate::{
    containment::Containment,
    record::{RecordError, RecordLines, RecordWriter},
};

const FORM: &str = "longhaul-identity";

/// Data for finding the processes of an attempt again. Each pid has a start time, because the kernel reuses pids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id of the managed process, as text.
    pub process: String,
    /// Number of the attempt.
    pub attempt: u64,
    /// Id of the machine boot in which the pids are valid.
    pub boot_id: String,
    /// Pid of the shim.
    pub shim_pid: u32,
    /// Start time of the shim, in clock ticks since boot.
    pub shim_start: u64,
    /// Pid of the program.
    pub pid: u32,
    /// Start time of the program, in clock ticks since boot.
    pub start_time: u64,
    /// Path of the cgroup of the attempt; `None` if the attempt has no cgroup.
    pub cgroup: Option<PathBuf>,
    /// Containment mechanism of the attempt.
    pub mechanism: Containment,
    /// Time when the program's process was created, in milliseconds of steady time.
    pub started_at: u64,
    /// Wall-clock time when the program's process was created, in milliseconds since 1970; for display only.
    pub wall: i64,
}

impl Identity {
    /// Encodes the identity as the content of its file.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(FORM);
        record
            .text("process", &self.process)
            .text("attempt", self.attempt)
            .text("boot_id", &self.boot_id)
            .text("shim_pid", self.shim_pid)
            .text("shim_start", self.shim_start)
            .text("pid", self.pid)
            .text("start_time", self.start_time);
        if let Some(path) = &self.cgroup {
            record.bytes("cgroup", path.as_os_str().as_bytes());
        }
        record
            .text("mechanism", self.mechanism)
            .text("started_at", self.started_at)
            .text("wall", self.wall)
            .finish()
    }

    /// Decodes the content of an identity file.
    ///
    /// # Errors
    /// Returns [`RecordError`] if the content is truncated, changed or too long.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let lines = RecordLines::read(FORM, bytes)?;
        let mechanism: String = lines.needed("mechanism")?;
        Ok(Self {
            process: lines.needed("process")?,
            attempt: lines.needed("attempt")?,
            boot_id: lines.needed("boot_id")?,
            shim_pid: lines.needed("shim_pid")?,
            shim_start: lines.needed("shim_start")?,
            pid: lines.needed("pid")?,
            start_time: lines.needed("start_time")?,
            cgroup: lines.bytes("cgroup").map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))),
            mechanism: Containment::from_word(&mechanism)
                .ok_or(RecordError::BadValue { key: "mechanism" })?,
            started_at: lines.needed("started_at")?,
            wall: lines.needed("wall")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        Identity {
            process: "0b8e\nexit=1".to_owned(),
            attempt: 2,
            boot_id: "b".to_owned(),
            shim_pid: 10,
            shim_start: 11,
            pid: 12,
            start_time: 13,
            cgroup: Some("/sys/fs/cgroup/a b".into()),
            mechanism: Containment::Cgroup,
            started_at: 14,
            wall: -15,
        }
    }

    #[test]
    fn identity_comes_back_as_it_was_written() {
        assert_eq!(Identity::decode(&sample().encode()), Ok(sample()));
        let without = Identity { cgroup: None, ..sample() };
        assert_eq!(Identity::decode(&without.encode()), Ok(without));
    }

    #[test]
    fn identity_cut_at_any_byte_is_refused() {
        let bytes = sample().encode();
        for cut in 0..bytes.len() {
            assert!(Identity::decode(&bytes[..cut]).is_err());
        }
    }
}
