//! The bytes that a launch signature covers. If the bytes are equal, the same command is executed in the same way.

use super::key::KeyId;
use longhaul_domain::{Process, Timestamp};
use longhaul_wire::record;

/// First part of every statement. It prevents a MAC that was made for another purpose from being accepted as a launch
/// signature.
const TITLE: &[u8] = b"longhaul seal 1";

/// Returns the statement of a launch. Each part is preceded by its length, so that bytes cannot be moved from one part
/// to another.
pub(super) fn of(process: &Process, key: &KeyId, user: &str, until: Timestamp) -> Vec<u8> {
    let spec = record::encode_spec_alone(&process.spec);
    let lineage = &process.lineage;
    let ancestors: Vec<u8> = lineage.ancestors.iter().flat_map(|id| *id.as_uuid().as_bytes()).collect();
    let restarted_from = lineage.restarted_from.as_ref().map(|id| *id.as_uuid().as_bytes());
    let parts: [&[u8]; 8] = [
        TITLE,
        key.as_str().as_bytes(),
        user.as_bytes(),
        &until.0.to_be_bytes(),
        process.id.as_uuid().as_bytes(),
        &ancestors,
        restarted_from.as_ref().map_or(&[], |id| id.as_slice()),
        spec.as_bytes(),
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
