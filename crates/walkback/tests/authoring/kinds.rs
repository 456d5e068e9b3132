//! What is registered is checked before any order comes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{
    Attempt, Definition, Engine, MemoryStore, Options, Registry, Saga, Step, StepError, StepRef,
    Steps,
};

use crate::site::{Vpc, makes, of, records, registry};

fn wrong(registry: Registry) -> Vec<String> {
    of(Engine::new(registry, MemoryStore::new()).unwrap_err())
}

records! {
    Many { region: String, count: usize, backup: bool }
    Optional { region: Option<String> }
    Right { region: String, tier: Option<String> }
}

impl Saga for Many {
    const KIND: &'static str = "many";
    fn steps(&self) -> Steps {
        let droplet = |at| StepRef::new("create_droplet").scope(&format!("web{at}"));
        let steps = (0..self.count).fold(Steps::new(), |steps, at| steps.then(droplet(at)));
        if self.backup { steps.then("bakup") } else { steps }
    }
}

impl Saga for Optional {
    const KIND: &'static str = "optional";
    fn steps(&self) -> Steps {
        Steps::new().then("create_vpc")
    }
}

impl Saga for Right {
    const KIND: &'static str = "right";
    fn steps(&self) -> Steps {
        assert!(self.region != "text", "an order that nobody would make");
        Steps::new().then("create_vpc")
    }
}

#[test]
fn a_kind_is_asked_for_a_small_and_a_full_order() {
    assert_eq!(
        wrong(registry().saga::<Many>()),
        [
            "saga `many`: step `bakup` is unknown: known are `adopt_vpc`, `approve`, `command`, `count`, \
             `create_balancer`, `create_droplet`, `create_vpc`, `echo`, `fail`, `guess`, \
             `list_names`, `name`, `need`, `open_port`, `pay`, `price`, `resize`, `sleep`, `wait_for`, `weigh`",
            "step `web0.create_droplet` of saga `many` needs `vpc_id`, which nothing before it \
             provides",
        ]
    );
}

#[test]
fn an_optional_field_does_not_feed_one_that_is_needed() {
    assert_eq!(
        wrong(registry().saga::<Optional>()),
        ["step `create_vpc` of saga `optional` needs `region`, which nothing before it provides"]
    );
}

#[test]
fn an_order_that_its_kind_does_not_like_tells_nothing() {
    assert!(Engine::new(registry().saga::<Right>(), MemoryStore::new()).is_ok());
}

#[test]
fn two_kinds_of_one_name_are_named() {
    assert_eq!(
        wrong(registry().saga::<Right>().saga::<Right>()),
        ["kind `right` is registered twice: expected one of each name"]
    );
}

#[test]
fn two_steps_of_one_name_are_named() {
    assert_eq!(
        wrong(registry().step(makes("echo", |(): ()| ()))),
        ["step `echo` is registered twice: expected one of each name"]
    );
}

#[test]
fn a_definition_is_checked_as_soon_as_it_is_registered() {
    let definition = Definition::parse(
        "{kind: site, steps: [create_vpc, {create_droplet: {for_each: count}}, nothing],
          input: {properties: {count: {type: integer}}}}",
        None,
    );
    let mistakes = wrong(registry().definition(definition.unwrap()));
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    assert!(mistakes[0].starts_with("saga `site`: step `nothing` is unknown: known are "));
    assert_eq!(
        mistakes[1],
        "step `create_vpc` of saga `site` needs `region`, which nothing before it provides"
    );
}

#[test]
fn a_definition_without_a_form_may_be_started_with_anything() {
    let definition = Definition::parse("{kind: site, steps: [create_vpc]}", None).unwrap();
    assert!(Engine::new(registry().definition(definition), MemoryStore::new()).is_ok());
}

#[test]
fn of_two_steps_with_opposite_conditions_one_stands() {
    let text = "{kind: site, steps: [create_vpc: {when: not old}, adopt_vpc: {when: old}, \
                create_droplet]}";
    let definition = Definition::parse(text, None).unwrap();
    assert!(Engine::new(registry().definition(definition), MemoryStore::new()).is_ok());
}

#[test]
fn a_definition_is_registered_by_its_kind() {
    let definition = Definition::parse("{steps: [echo]}", None).unwrap();
    assert_eq!(
        wrong(registry().definition(definition)),
        ["a registered definition has no `kind`: expected a name"]
    );
}

#[test]
fn an_input_that_is_no_struct_is_named() {
    assert_eq!(
        wrong(Registry::new().step(makes("shout", |_: String| ()))),
        ["the input of step `shout` is a string: expected a struct with named fields, or `()`"]
    );
}

#[test]
fn an_output_that_is_no_struct_is_named() {
    assert_eq!(
        wrong(Registry::new().step(makes("pick", |(): ()| Some(Vpc::default())))),
        ["the output of step `pick` is something without fields of its own: expected a struct \
          with named fields, or `()`"]
    );
}

#[test]
fn a_map_and_a_wrapped_struct_are_structs_too() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Wrapped(Vpc);
    let registry = Registry::new()
        .step(makes("map", |(): ()| BTreeMap::from([(String::new(), 1)])))
        .step(makes("wrapped", |wrapped: Wrapped| wrapped));
    assert!(Engine::new(registry, MemoryStore::new()).is_ok());
}

struct Forgetful;

impl Step for Forgetful {
    const NAME: &'static str = "forgetful";
    const OPTIONS: Options = Options::new();
    type Input = ();
    type Output = ();

    async fn execute(&self, _: Attempt, (): ()) -> Result<(), StepError> {
        Ok(())
    }
}

#[test]
fn a_step_without_an_undo_says_why() {
    assert_eq!(
        wrong(Registry::new().step(Forgetful)),
        ["step `forgetful` has no `compensate` and does not say why: expected one, or \
          `read_only`, `retained` or `irreversible` in its options"]
    );
}
