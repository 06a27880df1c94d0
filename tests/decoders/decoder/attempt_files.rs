//! Decodes `identity`, `exit` and the lease note, with the checksum in the input and with a correct one.

use super::{Verdict, same};
use longhaul_shim::{ExitRecord, Identity, LeaseNote};

pub(super) fn take(bytes: &[u8]) -> Verdict {
    read(&sealed(bytes))?;
    read(bytes)
}

fn read(bytes: &[u8]) -> Verdict {
    let exit = same(|| ExitRecord::decode(bytes), |record| ExitRecord::decode(&record.encode()));
    let identity = same(|| Identity::decode(bytes), |identity| Identity::decode(&identity.encode()));
    let lease = same(|| LeaseNote::decode(bytes), |note| LeaseNote::decode(&note.encode()));
    exit.or(identity).or(lease)
}

/// Replaces the checksum by a correct one, because random changes of the input hardly ever produce a correct one.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(5).rposition(|window| window == b"\nend=");
    let mut sealed = end.map_or(bytes, |end| &bytes[..end]).to_vec();
    sealed.push(b'\n');
    let end = format!("end={:08x}\n", crc32(&sealed));
    sealed.extend_from_slice(end.as_bytes());
    sealed
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| {
                if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
            },
        )
    })
}
