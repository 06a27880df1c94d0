use super::RedisStore;
use super::codec::{SEPARATOR, push_lease, refusal};
use super::failure::corrupt;
use super::process::NO_OP;
use super::script::{ScriptArgs, TAIL, TAIL_OF};
use crate::tail_frames;
use async_trait::async_trait;
use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_ports::{AttemptKey, Lease, OutputTail, OutputTails, StoreError};

#[async_trait]
impl OutputTails for RedisStore {
    async fn store_tail(&self, by: &Lease, key: AttemptKey, tail: &OutputTail) -> Result<bool, StoreError> {
        let mut args = ScriptArgs::default();
        args.bytes(key.id.as_uuid().as_bytes());
        push_lease(&mut args, by)
            .number(key.attempt.0.into())
            .number(tail.total)
            .bytes(&tail_frames::encode(tail));
        let mut reply = self.link.write(&TAIL, NO_OP, args).await?;
        match reply.word()?.as_str() {
            "ok" => Ok(true),
            "later" => Ok(false),
            "missing" => Err(StoreError::Missing { id: key.id }),
            word => Err(refusal(word, &mut reply)),
        }
    }

    async fn load_tail(&self, id: ProcessId) -> Result<Option<(AttemptNo, OutputTail)>, StoreError> {
        let mut args = ScriptArgs::default();
        args.bytes(id.as_uuid().as_bytes());
        let kept = self.link.read(&TAIL_OF, args).await?.bytes()?;
        if kept.is_empty() { Ok(None) } else { tail(&kept).map(Some) }
    }
}

/// Decodes a stored output tail. It contains the attempt, the total length and the frames. The bytes are not trusted,
/// because other programs may write to the server.
pub(super) fn tail(kept: &[u8]) -> Result<(AttemptNo, OutputTail), StoreError> {
    let mut parts = kept.splitn(3, |byte| char::from(*byte) == SEPARATOR);
    let mut part = || parts.next().ok_or_else(|| corrupt("a stored output tail is incomplete"));
    let attempt = number(part()?).and_then(|number| u32::try_from(number).ok());
    let total = number(part()?);
    let (Some(attempt), Some(total)) = (attempt, total) else {
        return Err(corrupt("a stored output tail has no position"));
    };
    let chunks = tail_frames::decode(total, part()?.to_vec()).map_err(corrupt)?;
    Ok((AttemptNo(attempt), OutputTail { total, chunks }))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::Timestamp;
    use longhaul_ports::{OutputChunk, OutputSource};

    #[test]
    fn a_stored_tail_is_decoded_unchanged_and_other_bytes_are_refused() {
        let chunk = |offset, source, bytes: &[u8]| OutputChunk {
            offset,
            source,
            at: Timestamp(7),
            bytes: bytes.to_vec(),
        };
        let chunks = vec![
            chunk(90, OutputSource::Stdout, b"one\x1f\n"),
            chunk(95, OutputSource::Stderr, b"\xfftwo\n"),
        ];
        let whole = OutputTail { total: 100, chunks };
        let stored = [b"3\x1f100\x1f".as_slice(), &tail_frames::encode(&whole)].concat();
        assert_eq!(tail(&stored).unwrap(), (AttemptNo(3), whole.clone()));
        for cut in 0..stored.len() {
            let read = tail(&stored[..cut]);
            assert!(read.is_err() || cut == 6 || cut == 36, "{cut}: {read:?}");
        }
        let late = OutputTail { total: 99, ..whole };
        assert!(
            tail(&[b"3\x1f99\x1f".as_slice(), &tail_frames::encode(&late)].concat()).is_err(),
            "beyond the total"
        );
    }
}
