mod any;
mod artifacts;
mod golden;

use super::*;
use longhaul_domain::{EnvironmentSpec, Work};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_process_in_any_state_is_the_same_after_a_round_trip(process in any::process()) {
        prop_assert_eq!(decode(&encode_spec(&process), &encode_life(&process)), Ok(process));
    }

    #[test]
    fn any_event_is_the_same_after_a_round_trip(event in any::event()) {
        prop_assert_eq!(decode_event(&encode_event(&event)), Ok(event));
    }

    #[test]
    fn live_stats_pending_actions_and_policies_survive_a_round_trip(
        live_stats in any::live_stats(), pending_action in any::wish(), policy in any::policy(),
    ) {
        prop_assert_eq!(decode_live_stats(&encode_live_stats(&live_stats)), Ok(live_stats));
        prop_assert_eq!(decode_pending_action(&encode_pending_action(&pending_action)), Ok(pending_action));
        prop_assert_eq!(decode_policy(&encode_policy(&policy)), Ok(policy));
    }

    #[test]
    fn garbage_causes_an_error_and_never_a_panic(text in any::text()) {
        prop_assert!(decode(&text, &text).is_err());
        prop_assert!(decode_event(&text).is_err());
    }

    #[test]
    fn a_record_with_a_damaged_byte_never_panics(process in any::process(), at: prop::sample::Index, byte: u8) {
        let mut life = encode_life(&process).into_bytes();
        let place = at.index(life.len());
        life[place] = byte;
        if let Ok(life) = String::from_utf8(life) {
            let _ = decode(&encode_spec(&process), &life);
        }
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    let process = golden::running();
    let (spec, life) = (encode_spec(&process), encode_life(&process));
    for end in 0..life.len() {
        assert!(decode(&spec, &life[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_change_writes_little() {
    for process in golden::one_per_state() {
        let life = encode_life(&process);
        assert!(life.len() < 1_024, "{} bytes: {life}", life.len());
    }
}

#[test]
fn fields_of_a_newer_writer_are_passed_over_when_it_allows_this_reader() {
    let process = golden::running();
    let life =
        encode_life(&process).replacen("{\"format\":2,", "{\"format\":7,\"min_reader\":2,\"moon\":3,", 1);
    let life = life.replacen("\"attempt\":", "\"tide\":[1,{}],\"attempt\":", 1);
    assert!(life.contains("moon") && life.contains("tide"));
    assert_eq!(decode(&encode_spec(&process), &life), Ok(process));
}

#[test]
fn a_record_that_needs_a_newer_reader_is_reported_as_newer_even_if_its_structure_is_unknown() {
    let too_new = Err(RecordDecodeError::TooNew { needs: 9, reads: FORMAT });
    let process = golden::running();
    let life = encode_life(&process).replacen("{\"format\":2,", "{\"format\":9,\"min_reader\":9,", 1);
    assert_eq!(decode(&encode_spec(&process), &life), too_new);
    let unknown = r#"{"format":9,"min_reader":9,"life_as_we_do_not_know_it":true}"#;
    assert_eq!(decode(&encode_spec(&process), unknown), too_new);
}

#[test]
fn an_unknown_state_is_damage_unless_a_newer_reader_is_asked_for() {
    let process = golden::running();
    let life = encode_life(&process).replacen("\"running\"", "\"dreaming\"", 1);
    assert!(matches!(decode(&encode_spec(&process), &life), Err(RecordDecodeError::Damaged { .. })));
}

#[test]
fn an_error_never_quotes_a_declared_variable() {
    let mut process = golden::running();
    let mut spec = process.spec.as_ref().clone();
    if let Work::Command(command) = &mut spec.work {
        command.environment = EnvironmentSpec {
            declared: vec![("TOKEN".to_owned(), "hush-hush".to_owned())],
            ..EnvironmentSpec::default()
        };
    }
    process.spec = spec.into();
    let text = encode_spec(&process);
    assert!(text.contains("hush-hush"));
    let broken = text.replacen("[\"TOKEN\",\"hush-hush\"]", "\"hush-hush\"", 1);
    assert_ne!(broken, text);
    let error = decode(&broken, &encode_life(&process)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
}
