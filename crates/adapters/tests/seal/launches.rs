//! Tests of the launch signature: which parts of a launch it covers, and which launches are accepted.

use crate::place::{Place, signer};
use longhaul_adapters::signing::ClusterSigner;
use longhaul_domain::{
    AttemptNo, AwakeTime, Capabilities, CommandSpec, DecisionContext, EnvironmentHash, LaunchSignature,
    Lineage, NodeId, Placement, Process, ProcessId, RandomBits, ReadyWhen, RetryPolicy, SessionId, Spec,
    Stdin, Timestamp, WatchPattern, WatchSource, Work,
};
use longhaul_ports::{LaunchSigner as _, LaunchTarget, NodeAdvertisement, SignatureError};
use longhaul_wire::record;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const NOW: Timestamp = Timestamp(1_000_000);

fn id(number: u128) -> ProcessId {
    ProcessId::new(uuid::Uuid::from_u128(number))
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// Returns a spec in which every part that affects the execution has a value.
fn spec() -> Spec {
    let mut command = CommandSpec::of("make", &["-j2", "check"], "/src");
    command.environment.captured = Some(EnvironmentHash("c0ffee".to_owned()));
    command.environment.declared = vec![("LANG".to_owned(), "C".to_owned())];
    command.environment.removed = vec!["HOME".to_owned()];
    command.stdin = Stdin::File("/in".to_owned());
    command.timeout = Some(Duration::from_secs(600));
    command.limits.memory_bytes = Some(1 << 30);
    command.ready_when =
        Some(ReadyWhen::Command { program: "curl".to_owned(), args: vec!["localhost".to_owned()] });
    let (name, pattern) = ("up".to_owned(), "listening on".to_owned());
    command.watch = vec![WatchPattern { name, pattern, source: WatchSource::Both }];
    Spec {
        placement: Placement::Node(node("a")),
        session: SessionId::new("s-1").ok(),
        retry: RetryPolicy { retries: 2, ..RetryPolicy::none() },
        ..Spec::of(Work::Command(Box::new(command)))
    }
}

fn process(spec: Spec) -> Process {
    let ctx = DecisionContext {
        now: NOW,
        awake: AwakeTime(0),
        chance: RandomBits(0),
        capabilities: Capabilities::ALL,
    };
    let lineage = Lineage { ancestors: vec![id(7), id(8)], restarted_from: Some(id(9)), outside: 0 };
    let (mut process, _) = Process::submit(&ctx, id(1), lineage, Arc::new(spec));
    process.attempt = AttemptNo(1);
    process
}

fn sealed(signer: &ClusterSigner, spec: Spec) -> Process {
    let mut process = process(spec);
    process.signature = signer.sign(&process);
    process
}

fn admit(signer: &ClusterSigner, process: &Process, now: Timestamp) -> Result<(), SignatureError> {
    let offer = NodeAdvertisement::default();
    signer.admit(process, &LaunchTarget { node: &node("a"), offer: &offer, now })
}

fn part(launch_signature: &LaunchSignature, at: usize) -> &str {
    launch_signature.0.split('.').nth(at).unwrap()
}

/// Returns the id of the key that signed a launch.
fn key_of(process: &Process) -> String {
    part(process.signature.as_ref().unwrap(), 1).to_owned()
}

/// Returns all parts of a process that affect its execution.
fn executed(process: &Process) -> (ProcessId, Arc<Spec>, Lineage, Option<LaunchSignature>) {
    (process.id, process.spec.clone(), process.lineage.clone(), process.signature.clone())
}

#[test]
fn sealed_launch_is_admitted_wherever_the_key_is() {
    let place = Place::new();
    let (here, there) = (signer(&place), signer(&place));
    let process = sealed(&here, spec());
    assert_eq!(here.verify(&process), Ok(()));
    assert_eq!(admit(&there, &process, NOW), Ok(()));
    let record = record::encode_spec(&process);
    let again = record::decode(&record, &record::encode_life(&process)).unwrap();
    assert_eq!(admit(&there, &again, NOW), Ok(()));
}

#[test]
fn flipped_bit_of_a_stored_record_is_refused_or_changes_nothing_that_is_executed() {
    let signer = signer(&Place::new());
    let process = sealed(&signer, spec());
    let (stored, life) = (record::encode_spec(&process), record::encode_life(&process));
    let (mut refused, mut same) = (0, 0);
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut bytes = stored.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Some(read) = String::from_utf8(bytes).ok().and_then(|text| record::decode(&text, &life).ok())
            else {
                continue;
            };
            match admit(&signer, &read, NOW) {
                Err(_) => refused += 1,
                Ok(()) => {
                    assert_eq!(executed(&read), executed(&process), "byte {at}, bit {bit}");
                    same += 1;
                }
            }
        }
    }
    // Only two values are not covered by the signature: the format number and the submission time.
    assert!(refused > 1_000 && same < 200, "{refused} {same}");
}

#[test]
fn byte_that_is_put_in_or_left_out_is_refused_or_changes_nothing_that_is_executed() {
    let signer = signer(&Place::new());
    let process = sealed(&signer, spec());
    let (stored, life) = (record::encode_spec(&process), record::encode_life(&process));
    let mut refused = 0;
    for at in 0..stored.len() {
        let (head, tail) = (&stored[..at], &stored[at..]);
        let changed = ["0", "1", "9", "a", " ", "/", "-"].map(|byte| format!("{head}{byte}{tail}"));
        for text in changed.into_iter().chain([format!("{head}{}", &tail[1..])]) {
            let Ok(read) = record::decode(&text, &life) else { continue };
            match admit(&signer, &read, NOW) {
                Err(_) => refused += 1,
                Ok(()) => assert_eq!(executed(&read), executed(&process), "{text}"),
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn seal_of_one_launch_is_none_of_another() {
    let signer = signer(&Place::new());
    let first = sealed(&signer, spec());
    let of_another_id = Process { id: id(2), ..first.clone() };
    let restarted_from = first.lineage.restarted_from;
    let child =
        Process { lineage: Lineage { ancestors: vec![id(7)], restarted_from, outside: 0 }, ..first.clone() };
    let not_restarted = Lineage { restarted_from: None, ..first.lineage.clone() };
    let not_restarted = Process { lineage: not_restarted, ..first.clone() };
    let mut other = spec();
    other.placement = Placement::Node(node("b"));
    let elsewhere = Process { spec: Arc::new(other), ..first.clone() };
    for changed in [of_another_id, child, not_restarted, elsewhere] {
        assert_eq!(signer.verify(&changed), Err(SignatureError::Altered));
        assert_eq!(admit(&signer, &changed, NOW), Err(SignatureError::Altered));
    }
    let unsealed = Process { signature: None, ..first.clone() };
    assert_eq!(admit(&signer, &unsealed, NOW), Err(SignatureError::Missing));
    let last_day = signer.seal_from(&first, Timestamp(NOW.0 + 1));
    let text = first.signature.clone().unwrap().0;
    let until = part(&last_day, 2).to_owned();
    let longer = text.split('.').enumerate().map(|(at, part)| if at == 2 { until.as_str() } else { part });
    let longer =
        Process { signature: Some(LaunchSignature(longer.collect::<Vec<_>>().join("."))), ..first.clone() };
    assert_eq!(admit(&signer, &longer, NOW), Err(SignatureError::Altered));
    let other_user = Process { signature: Some(LaunchSignature(format!("{text}2"))), ..first };
    assert_eq!(admit(&signer, &other_user, NOW), Err(SignatureError::Altered));
}

#[test]
fn launch_that_is_true_is_not_admitted_elsewhere_later_or_once_more() {
    let signer = signer(&Place::new());
    let process = sealed(&signer, spec());
    let offer = NodeAdvertisement::default();
    let elsewhere = signer.admit(&process, &LaunchTarget { node: &node("b"), offer: &offer, now: NOW });
    assert_eq!(elsewhere, Err(SignatureError::WrongNode { here: node("b") }));
    let until = NOW.plus(DAY);
    assert_eq!(admit(&signer, &process, until), Ok(()));
    assert_eq!(
        admit(&signer, &process, until.plus(Duration::from_millis(1))),
        Err(SignatureError::Expired { until })
    );
    assert_eq!(signer.verify(&process), Ok(()), "an ended process may be restarted as a new launch");
    let last = Process { attempt: AttemptNo(15), ..process.clone() };
    assert_eq!(admit(&signer, &last, NOW), Ok(()));
    let more = Process { attempt: AttemptNo(16), ..process };
    let too_often = SignatureError::TooOften { attempt: AttemptNo(16), limit: 15 };
    assert_eq!(admit(&signer, &more, NOW), Err(too_often));
}

#[test]
fn validity_of_a_delayed_launch_starts_at_its_start_time() {
    let signer = signer(&Place::new());
    let moment = NOW.plus(DAY * 40);
    let process = sealed(&signer, Spec { not_before: Some(moment), ..spec() });
    assert_eq!(admit(&signer, &process, moment.plus(DAY)), Ok(()));
    assert!(admit(&signer, &process, moment.plus(DAY * 2)).is_err());
}

#[test]
fn launch_of_another_user_is_not_run_as_this_one() {
    let place = Place::new();
    let (theirs, here) = (signer(&place).as_user("ada.l"), signer(&place).as_user("ada"));
    let process = sealed(&theirs, spec());
    assert_eq!(here.verify(&process), Ok(()), "this user may restart the process in their own name");
    let refused = SignatureError::OtherUser { sealed: "ada.l".to_owned(), here: "ada".to_owned() };
    assert_eq!(admit(&here, &process, NOW), Err(refused));
}

#[test]
fn two_keys_are_trusted_during_a_rotation_and_the_first_one_signs() {
    let place = Place::new();
    let before = signer(&place);
    let old = sealed(&before, spec());
    place.file().rotate().unwrap();
    let after = signer(&place);
    let new = sealed(&after, spec());
    let key = key_of(&old);
    assert_ne!(key_of(&new), key);
    assert_eq!((after.verify(&old), after.verify(&new)), (Ok(()), Ok(())));
    assert_eq!(before.verify(&new), Ok(()), "a file that changed is read again");
    place.file().retire().unwrap();
    let last = signer(&place);
    assert_eq!((last.verify(&new), last.verify(&old)), (Ok(()), Err(SignatureError::UnknownKey { key })));
}

#[test]
fn seal_of_another_key_names_it() {
    let (here, there) = (signer(&Place::new()), signer(&Place::new()));
    let process = sealed(&there, spec());
    let key = key_of(&process);
    assert_eq!(admit(&here, &process, NOW), Err(SignatureError::UnknownKey { key }));
}

#[test]
fn seal_that_cannot_be_read_is_refused() {
    let signer = signer(&Place::new());
    let process = sealed(&signer, spec());
    let text = process.signature.clone().unwrap().0;
    let upper = text.to_ascii_uppercase();
    for broken in
        ["", "1", "1....", "2.a.b.c.d", &text.replacen('1', "2", 1), &text[1..], &upper, "1.\0.\u{fe0f}.."]
    {
        let changed = Process { signature: Some(LaunchSignature(broken.to_owned())), ..process.clone() };
        let refused = signer.verify(&changed);
        assert!(
            matches!(refused, Err(SignatureError::Unreadable | SignatureError::Altered)),
            "{broken:?}: {refused:?}"
        );
    }
}

#[test]
fn signatures_never_change() {
    let place = Place::with(
        "longhaul-cluster-key-1 347480939cbb 4242424242424242424242424242424242424242424242424242424242424242\n",
    );
    let signer = signer(&place).as_user("ada");
    let process = sealed(&signer, spec());
    // The signature must stay exactly the same. If it changed, nodes would refuse all waiting launches. A change needs
    // a new signature version, and the old version must stay valid.
    let always = "1.347480939cbb.87400000.724f92d18b023391475bf0759750407a.ada";
    assert_eq!(process.signature, Some(LaunchSignature(always.to_owned())));
}
