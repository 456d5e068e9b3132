//! `verify`: the oracle on a store of this command's own.

use crate::desk::Desk;

#[test]
fn a_store_of_finished_and_waiting_sagas_keeps_its_promises() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["run", "--steps", "echo,echo,fail"]).code, 1);
    assert_eq!(desk.run(&["start", "--steps", "echo"]).code, 0);
    let verified = desk.run(&["verify", "--json"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let report = verified.json();
    assert_eq!((report["runs"].as_u64(), report["rows"].as_u64()), (Some(2), Some(12)));
    assert_eq!(report["violations"].as_array().unwrap().len(), 0);
    let people = desk.run(&["verify"]);
    assert!(people.out.starts_with("no violation in 2 sagas, 12 rows"), "{people:?}");
}

#[test]
fn an_effect_without_its_start_is_a_violation() {
    let desk = Desk::new();
    let id = desk.run(&["start", "--steps", "echo"]).out.trim().to_owned();
    let event = |event: &str| {
        format!(
            r#"{{"saga_id":"{id}","step_idx":0,"phase":"execute","attempt":1,"key":"k","event":"{event}"}}"#
        )
    };
    desk.write("effects.jsonl", &format!("{}\n{}\n", event("start"), event("end")));
    let verified = desk.run(&["verify", "--effects", "effects.jsonl"]);
    assert_eq!(verified.code, 1, "{verified:?}");
    assert!(verified.out.contains("violation  I3"), "{verified:?}");
}

#[test]
fn what_is_not_there_cannot_be_verified() {
    let desk = Desk::new();
    let ran = desk.run(&["verify", "--effects", "no.jsonl"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("effects `no.jsonl` cannot be read"), "{ran:?}");
    assert_eq!(desk.run(&["verify", "01939a4e-8f2b-7cc1-9d3e-1f0a2b3c4d5e"]).code, 2);
}
