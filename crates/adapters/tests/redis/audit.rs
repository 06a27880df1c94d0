//! Checks that all indexes of a namespace are consistent with the process headers.

use crate::server::Server;
use std::collections::{BTreeMap, BTreeSet};

type Bytes = Vec<u8>;
type Index = BTreeMap<Bytes, f64>;
type Indexes = BTreeMap<Bytes, Index>;

const PREFIX: &str = "lh:{longhaul}:";
/// Name prefixes of the keys whose content can be derived from the process headers alone.
const FOLLOWING: [&str; 17] = [
    "all",
    "ids",
    "live",
    "s:",
    "x:",
    "tree:",
    "owned:",
    "pending:",
    "roots:",
    "ended",
    "due",
    "leased",
    "q:",
    "holders:",
    "keys",
    "placements:",
    "classes",
];

/// Fails the test at the first index that is not consistent with the process headers.
pub(crate) async fn audit(server: &Server) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut kept = Kept::default();
    let pattern = format!("{}*", PREFIX.replace('{', "\\{").replace('}', "\\}"));
    let names: Vec<Bytes> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    for key in names {
        let name = key.get(PREFIX.len()..).unwrap().to_vec();
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
        match kind.as_str() {
            "zset" => {
                let scores: Vec<(Bytes, f64)> = redis::cmd("ZRANGE")
                    .arg(&key)
                    .arg(&[0, -1])
                    .arg("WITHSCORES")
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                kept.indexes.insert(name, scores.into_iter().collect());
            }
            "set" => {
                let members: Vec<Bytes> =
                    redis::cmd("SMEMBERS").arg(&key).query_async(&mut connection).await.unwrap();
                kept.indexes.insert(name, members.into_iter().map(|member| (member, 0.0)).collect());
            }
            "hash" => {
                let fields: BTreeMap<Bytes, Bytes> =
                    redis::cmd("HGETALL").arg(&key).query_async(&mut connection).await.unwrap();
                kept.hashes.insert(name, fields);
            }
            _ => {}
        }
    }
    kept.check_indexes();
    kept.check_ready();
}

#[derive(Debug, Default)]
struct Kept {
    indexes: Indexes,
    hashes: BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>,
}

/// Header of a process, with its bodies.
struct Head<'a> {
    id: &'a [u8],
    fields: &'a BTreeMap<Bytes, Bytes>,
    bodies: &'a BTreeMap<Bytes, Bytes>,
}

impl Head<'_> {
    fn bytes(&self, name: &str) -> &[u8] {
        self.fields.get(name.as_bytes()).map_or(b"", Vec::as_slice)
    }

    fn text(&self, name: &str) -> &str {
        str::from_utf8(self.bytes(name)).unwrap()
    }

    fn number(&self, name: &str) -> f64 {
        Some(self.text(name)).filter(|text| !text.is_empty()).map_or(0.0, |text| text.parse().unwrap())
    }

    fn mark(&self) -> Bytes {
        joined(&[format!("{:016}", self.number("seq")).as_bytes(), self.id])
    }

    fn lane(&self) -> Bytes {
        let child: &[u8] = if self.bytes("ancestors").is_empty() { b"0" } else { b"1" };
        joined(&[self.bytes("class"), b"\x1f", child])
    }

    fn due(&self) -> Option<f64> {
        if !self.text("owner").is_empty() {
            return None;
        }
        if self.number("pending") > 0.0 {
            return Some(self.number("queued"));
        }
        let times = ["due", "owner_lost"].into_iter().filter_map(|name| self.text(name).parse().ok());
        times.reduce(f64::min)
    }
}

impl Kept {
    fn heads(&self) -> impl Iterator<Item = Head<'_>> {
        self.hashes.iter().filter_map(|(name, fields)| {
            let id = name.strip_prefix(b"p:")?;
            let bodies = self.hashes.get(&joined(&[b"b:", id])).unwrap();
            Some(Head { id, fields, bodies })
        })
    }

    fn index(&self, name: &[u8]) -> Option<&Index> {
        self.indexes.get(name)
    }

    fn check_indexes(&self) {
        let mut expected = Indexes::new();
        let mut classes: BTreeMap<Bytes, BTreeSet<Bytes>> = BTreeMap::new();
        for head in self.heads() {
            self.expect(&head, &mut expected);
            if head.text("slot_state") == "0" {
                classes.entry(head.lane()).or_default().insert(head.bytes("key").to_vec());
            }
        }
        for (name, members) in &expected {
            assert_eq!(self.index(name), Some(members), "{}", shown(name));
        }
        for name in self.indexes.keys() {
            let follows = FOLLOWING.iter().any(|begin| name.starts_with(begin.as_bytes()));
            assert!(!follows || expected.contains_key(name), "{} should be empty", shown(name));
        }
        let counted = self.hashes.get(&b"classes"[..]).cloned().unwrap_or_default();
        let count = |keys: &BTreeSet<Bytes>| keys.len().to_string().into_bytes();
        assert_eq!(counted, classes.iter().map(|(lane, keys)| (lane.clone(), count(keys))).collect());
    }

    fn expect(&self, head: &Head<'_>, expected: &mut Indexes) {
        let mut file = |name: &[u8], member: &[u8], score: f64| {
            expected.entry(name.to_vec()).or_default().insert(member.to_vec(), score);
        };
        let (id, seq, mark) = (head.id, head.number("seq"), head.mark());
        let (slot_state, key, ancestors) =
            (head.text("slot_state"), head.bytes("key"), head.bytes("ancestors"));
        file(b"all", id, seq);
        file(b"ids", id, 0.0);
        file(&joined(&[b"s:", head.bytes("status")]), id, seq);
        let filed = head.bodies.get(&b"labels"[..]).unwrap();
        for label in filed.get(16..).unwrap().split(|byte| *byte == b'\n').filter(|label| !label.is_empty()) {
            file(&joined(&[b"x:", label]), id, seq);
        }
        for ancestor in ancestors.chunks(16) {
            file(&joined(&[b"x:below:", ancestor]), id, seq);
        }
        if !head.text("node").is_empty() {
            file(&joined(&[b"x:node:", head.bytes("node")]), id, seq);
        }
        if slot_state != "3" {
            file(b"live", id, seq);
            if let Some(root) = ancestors.get(..16) {
                let level = u8::try_from(ancestors.len() / 16).unwrap();
                file(&joined(&[b"tree:", root]), id, level.into());
            }
        }
        if !head.text("owner").is_empty() {
            let owner = head.bytes("owner");
            file(&joined(&[b"owned:", owner]), id, seq);
            if head.number("pending") > 0.0 {
                file(&joined(&[b"pending:", owner]), id, seq);
            }
            if slot_state == "1" && ancestors.is_empty() {
                file(&joined(&[b"roots:", owner]), id, seq);
            }
        }
        if !head.text("completed").is_empty() {
            file(b"ended", &mark, head.number("completed"));
        }
        let handed = self.index(b"leased").and_then(|handed| handed.get(&mark));
        match (head.due(), handed) {
            (Some(_), Some(until)) => file(b"leased", &mark, *until),
            (Some(due), None) => file(b"due", &mark, due),
            (None, _) => {}
        }
        if slot_state == "0" {
            let lane = head.lane();
            let waiter = joined(&[&mark, head.bytes("queued")]);
            file(&joined(&[b"q:", key, b"\x1f", &lane]), &waiter, -head.number("priority"));
            file(&joined(&[b"placements:", key]), &lane, 0.0);
            file(b"keys", key, 0.0);
        }
        if slot_state == "1" {
            file(&joined(&[b"holders:", key]), id, seq);
            file(b"keys", key, 0.0);
        }
    }

    /// Checks the `ready:` lists. A lane is a placement class, separately for roots and children. Each key is listed in
    /// each lane in which it has a waiting process, either at its correct position or at an earlier one. A key that is
    /// not listed has no free slot and is in the `full` indexes.
    fn check_ready(&self) {
        let mut places = BTreeSet::new();
        let mut shut = Indexes::new();
        for (name, lanes) in &self.indexes {
            let Some(key) = name.strip_prefix(b"placements:") else { continue };
            for lane in lanes.keys() {
                let place = joined(&[lane, b"\x1f", key]);
                if self.is_listed(key, lane, &place) {
                    places.insert(place);
                } else {
                    shut.entry(joined(&[b"full:", key])).or_default().insert(lane.clone(), 0.0);
                    shut.entry(b"full".to_vec()).or_default().insert(key.to_vec(), 0.0);
                }
            }
        }
        let kept: Indexes = self
            .indexes
            .iter()
            .filter(|(name, _)| name.starts_with(b"full"))
            .map(|(name, members)| (name.clone(), members.clone()))
            .collect();
        assert_eq!(kept, shut, "a key without a ready process is closed");
        let listed = self.hashes.get(&b"at"[..]).map(|at| at.keys().cloned().collect()).unwrap_or_default();
        assert_eq!(places, listed, "only waiting processes are ready");
        let ready = self.indexes.iter().filter(|(name, _)| name.starts_with(b"ready:"));
        assert_eq!(ready.map(|(_, entries)| entries.len()).sum::<usize>(), places.len());
    }

    fn is_listed(&self, key: &[u8], lane: &[u8], place: &[u8]) -> bool {
        let Some(entry) = self.hashes.get(&b"at"[..]).and_then(|at| at.get(place)) else { return false };
        let line = self.index(&joined(&[b"q:", key, b"\x1f", lane])).unwrap();
        let first = line.iter().min_by(|(a, x), (b, y)| x.total_cmp(y).then(a.cmp(b))).unwrap();
        let ready = self.index(&joined(&[b"ready:", lane])).unwrap();
        assert_eq!(ready.get(entry), Some(first.1), "{}", shown(place));
        assert_eq!(entry.get(16..32), first.0.get(..16), "{}", shown(place));
        assert_eq!(entry.get(32..), Some(key));
        let served = self.hashes.get(&b"served"[..]).and_then(|served| served.get(key));
        let served = served.map_or("0", |served| str::from_utf8(served).unwrap());
        let listed = str::from_utf8(entry.get(..16).unwrap()).unwrap();
        assert!(listed.parse::<u64>().unwrap() <= served.parse::<u64>().unwrap(), "too late");
        true
    }
}

fn joined(parts: &[&[u8]]) -> Bytes {
    parts.concat()
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
