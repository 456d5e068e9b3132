//! Bytes in are bytes out (promise I17).

use std::sync::Arc;

use crate::json::Json;
use crate::limits::{INPUT_BYTES, OUTPUT_BYTES};
use crate::machine::{By, Event};
use crate::store::{Spec, Store};
use crate::testing::conformance::maker::{
    applied, at, begin, done, json, load, owned, spec, started, transition,
};
use crate::time::Timestamp;

type Under = Arc<dyn Store>;

/// Puts the text in as input, as an output and as a label, and reads it again.
async fn comes_back(store: &dyn Store, text: &str) {
    let labels = [(text.to_owned(), text.to_owned())].into();
    let (mut made, claim) = owned(store, Spec { inputs: json(text), labels, ..spec() }).await;
    let events = [begin(0), done(0, text)];
    applied(store, &claim, transition(&mut made.run, &events, Some(&claim))).await;
    let stored = load(store, claim.saga()).await;
    assert_eq!(stored.spec, made.new.spec);
    assert_eq!(stored.spec.inputs.as_str(), text);
    let event = stored.rows[2].event();
    let completed = Event::StepCompleted { step: 0, output: json(text), by: By::Execute };
    assert!(matches!(event, Ok(event) if event == completed), "{:?}", stored.rows[2]);
    assert_eq!(stored.head, made.run.head());
}

pub(super) async fn unicode_comes_back_as_it_was(store: Under) {
    comes_back(&*store, "{\"ü\":\"e\u{301} ≠ é, 漢字, 👩‍🚀, \u{202e}\u{feff}\"}").await;
}

pub(super) async fn escaped_nul_comes_back_as_it_was(store: Under) {
    comes_back(&*store, r#"{"nul":"a\u0000b","pair":"\ud83d\ude00","slash":"\/"}"#).await;
}

pub(super) async fn large_numbers_come_back_as_they_were(store: Under) {
    let numbers = r#"{"n":[123456789012345678901234567890,1.50,-0.0,1E+2,1e-300]}"#;
    comes_back(&*store, numbers).await;
}

pub(super) async fn white_space_comes_back_as_it_was(store: Under) {
    comes_back(&*store, "{ \"a\" :\t1 ,\r\n  \"b\": [ ] }").await;
}

pub(super) async fn members_keep_their_order_and_their_doubles(store: Under) {
    comes_back(&*store, r#"{"z":1,"a":2,"z":3}"#).await;
}

fn padded(size: usize) -> String {
    let frame = r#"{"x":""}"#.len();
    format!(r#"{{"x":"{}"}}"#, "x".repeat(size - frame))
}

pub(super) async fn the_largest_input_comes_back_as_it_was(store: Under) {
    let inputs = json(&padded(INPUT_BYTES));
    let made = started(&*store, Spec { inputs: inputs.clone(), ..spec() }).await;
    assert_eq!(load(&*store, made.run.spec.id).await.spec.inputs, inputs);
}

pub(super) async fn the_largest_output_comes_back_as_it_was(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let events = [begin(0), done(0, &padded(OUTPUT_BYTES))];
    let next = transition(&mut made.run, &events, Some(&claim));
    applied(&*store, &claim, next.clone()).await;
    assert_eq!(load(&*store, claim.saga()).await.rows[1..], next.rows);
}

pub(super) async fn names_may_hold_anything(store: Under) {
    let odd = "'; DROP TABLE saga_runs; -- \" % _ \u{1} \u{7f} 漢";
    let own = Spec {
        kind: odd.into(),
        queue: odd.into(),
        key: Some(odd.into()),
        labels: [(odd.to_owned(), odd.to_owned())].into(),
        inputs: Json::empty_object(),
        ..spec()
    };
    let made = started(&*store, own.clone()).await;
    assert_eq!(load(&*store, made.run.spec.id).await.spec, own);
}

pub(super) async fn the_first_and_the_last_moment_come_back(store: Under) {
    for moment in [Timestamp::default(), at(i64::MAX), at(i64::MIN), at(-1)] {
        let own = Spec { deadline: Some(moment), created_at: moment, ..spec() };
        let made = started(&*store, own.clone()).await;
        assert_eq!(load(&*store, made.run.spec.id).await.spec, own);
    }
}
