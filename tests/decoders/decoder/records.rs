//! Decodes the records of stores. The first line selects the kind of record. The two parts of a process record are two
//! lines.

use super::{Verdict, headed, same};
use longhaul_wire::record;

pub(super) fn take(bytes: &[u8]) -> Verdict {
    let (which, body) = headed(bytes)?;
    match which {
        "process" => {
            let (spec, life) = body.split_once('\n').ok_or("a process has two parts")?;
            let life = life.trim_end_matches('\n');
            same(
                || record::decode(spec, life),
                |process| record::decode(&record::encode_spec(process), &record::encode_life(process)),
            )
        }
        "event" => {
            same(|| record::decode_event(body), |event| record::decode_event(&record::encode_event(event)))
        }
        "vitals" => same(
            || record::decode_live_stats(body),
            |live_stats| record::decode_live_stats(&record::encode_live_stats(live_stats)),
        ),
        "policy" => same(
            || record::decode_policy(body),
            |policy| record::decode_policy(&record::encode_policy(policy)),
        ),
        "wish" => same(
            || record::decode_pending_action(body),
            |wish| record::decode_pending_action(&record::encode_pending_action(wish)),
        ),
        _ => Err("unknown record".to_owned()),
    }
}
