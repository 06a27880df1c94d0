//! What a seal covers, as bytes: equal bytes mean that the same is executed.

use super::key::KeyId;
use longhaul_domain::{Process, Timestamp};
use longhaul_wire::record;

/// What everything begins with that is sealed, so that no code of another use is one of a seal.
const TITLE: &[u8] = b"longhaul seal 1";

/// Each part with its length before it, so that no part can give bytes to another one.
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
