//! What a run is started with is checked against its kind's form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Engine, MemoryStore, Order, Saga, Steps};

use crate::site::{of, records, registry};

records! { Owner { name: String, age: Option<u8> } }

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Site {
    region: String,
    size: Size,
    owner: Owner,
}

impl Saga for Site {
    const KIND: &'static str = "site";
    fn steps(&self) -> Steps {
        Steps::new().then("create_vpc")
    }
}

async fn wrong(input: &str) -> Vec<String> {
    let engine = Engine::new(registry().saga::<Site>(), MemoryStore::new()).unwrap();
    of(engine.start_saga(Order::kind("site").input(input)).await.unwrap_err())
}

#[tokio::test]
async fn a_missing_field_is_named_with_its_path() {
    assert_eq!(
        wrong(r#"{"region": "fra", "size": "small", "owner": {}}"#).await,
        ["input: `owner.name` is missing"]
    );
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named_with_its_path() {
    assert_eq!(
        wrong(r#"{"region": "fra", "size": "small", "owner": {"name": 1}}"#).await,
        ["input: `owner.name` is a number: expected a string"]
    );
}

#[tokio::test]
async fn an_unknown_field_is_named_with_what_was_probably_meant() {
    assert_eq!(
        wrong(r#"{"region": "fra", "size": "small", "owner": {"name": "x"}, "sise": 1}"#).await,
        ["input: `sise` is unknown: did you mean `size`? known are `owner`, `region`, `size`"]
    );
}

#[tokio::test]
async fn an_unknown_variant_is_named_with_those_there_are() {
    assert_eq!(
        wrong(r#"{"region": "fra", "size": "huge", "owner": {"name": "x"}}"#).await,
        ["input: `size` is none of `small`, `large`"]
    );
}

#[tokio::test]
async fn a_number_out_of_range_is_named() {
    assert_eq!(
        wrong(r#"{"region": "f", "size": "small", "owner": {"name": "x", "age": 300}}"#).await,
        ["input: `owner.age` is greater than the maximum of 255"]
    );
}

#[tokio::test]
async fn every_violation_comes_at_once() {
    assert_eq!(
        wrong(r#"{"region": 1, "owner": {}}"#).await,
        [
            "input: `owner.name` is missing",
            "input: `region` is a number: expected a string",
            "input: `size` is missing",
        ]
    );
}

#[tokio::test]
async fn an_input_that_is_no_object_is_refused() {
    assert_eq!(
        wrong("[1]").await,
        ["input is a list: expected a JSON object", "input: it is a list: expected an object"]
    );
}

#[tokio::test]
async fn an_unknown_kind_is_named_with_what_was_probably_meant() {
    let engine = Engine::new(registry().saga::<Site>(), MemoryStore::new()).unwrap();
    let error = engine.start_saga(Order::kind("sit")).await.unwrap_err();
    assert_eq!(of(error), ["kind `sit` is unknown: did you mean `site`? known are `site`"]);
}
