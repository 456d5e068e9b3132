//! `when` and `for_each` are decided from the inputs before a run is stored.

use serde_json::{Value, json};
use walkback::{Status, StepRef, Steps};

use crate::site::{context, engine, list, run, run_list, wrong};

const HERE: &str = r#"{"region": "fra"}"#;

fn scopes(saga: &walkback::describe::SagaView) -> Vec<Option<String>> {
    saga.steps.iter().flatten().map(|step| step.scope.clone()).collect()
}

#[tokio::test]
async fn a_step_stands_once_for_each_element() {
    let steps = r#"["create_vpc",
        {"step": "create_droplet", "scope": "web", "for_each": "inputs.sizes", "from": {"size": "each"}},
        {"step": "create_balancer", "from": {"droplet_ids": ["web_*.droplet_id"]}}]"#;
    let saga = run_list(steps, r#"{"region": "fra", "sizes": ["s", "xxl"]}"#).await;
    assert_eq!(saga.status, Status::Completed);
    let web = |at: usize| Some(format!("web_{at}"));
    assert_eq!(scopes(&saga), [None, web(0), web(1), None]);
    assert_eq!(context(&saga, "/balancer_id"), "lb[8, 10]");
}

#[tokio::test]
async fn a_step_stands_as_often_as_a_number_says() {
    let steps = r#"[{"step": "create_droplet", "for_each": "count",
        "from": {"vpc_id": "inputs.vpc"}},
        {"step": "create_balancer", "from": {"droplet_ids": "create_droplet_*.droplet_id"}}]"#;
    let saga = run_list(steps, r#"{"vpc": "v", "count": 3}"#).await;
    assert_eq!(context(&saga, "/balancer_id"), "lb[1, 1, 1]");
}

#[tokio::test]
async fn a_copy_knows_its_number_and_the_members_of_its_element() {
    let steps = r#"[{"step": "echo", "for_each": "inputs.all",
        "from": {"message": "each.text", "index": "index"}}]"#;
    let saga = run_list(steps, r#"{"all": [{"text": "a"}, {"text": "b"}]}"#).await;
    assert_eq!(context(&saga, "/echo_1/echoed_at_step_1"), "b");
}

#[tokio::test]
async fn copies_run_beside_each_other_and_beside_the_members_of_their_group() {
    let steps = r#"["create_vpc", [{"step": "create_droplet", "for_each": "count"}, "pay2"]]"#;
    let steps = steps.replace("pay2", "guess");
    let saga = run_list(&steps, r#"{"region": "fra", "count": 2}"#).await;
    assert_eq!(saga.steps.unwrap().len(), 4);
    let steps = r#"["create_vpc", {"step": "create_droplet", "for_each": "count", "from":
        {"size": "create_droplet_0.droplet_id"}}]"#;
    assert_eq!(
        wrong(steps, r#"{"region": "fra", "count": 2}"#).await,
        [
            "step `create_droplet_0.create_droplet` of saga `web` reads `size` from \
             `create_droplet_0.droplet_id`, which nothing before it provides",
            "step `create_droplet_1.create_droplet` of saga `web` reads `size` from \
             `create_droplet_0.droplet_id`, which only step `create_droplet_0.create_droplet` \
             beside it provides: it may not be there yet",
        ]
    );
}

#[tokio::test]
async fn no_copies_collect_into_an_empty_list() {
    let steps = r#"[{"step": "create_droplet", "scope": "web", "for_each": "sizes"},
        {"step": "create_balancer", "from": {"droplet_ids": ["web_*.droplet_id"]}}]"#;
    let saga = run_list(steps, r#"{"sizes": []}"#).await;
    assert_eq!(context(&saga, "/balancer_id"), "lb[]");
}

#[tokio::test]
async fn a_condition_holds_for_what_is_something() {
    for (value, holds) in [
        (json!(true), true),
        (json!("no"), true),
        (json!(0.5), true),
        (json!([0]), true),
        (json!({"a": null}), true),
        (json!(false), false),
        (json!(null), false),
        (json!(0), false),
        (json!(0.0), false),
        (json!(""), false),
        (json!([]), false),
        (json!({}), false),
    ] {
        assert_eq!(stands("inputs.lb", &json!({ "lb": value })).await, holds, "{value}");
        assert_eq!(stands("not lb", &json!({ "lb": value })).await, !holds, "not {value}");
    }
    assert!(!stands("inputs.lb", &json!({})).await);
    assert!(stands("not inputs.lb", &json!({})).await);
}

async fn stands(condition: &str, inputs: &Value) -> bool {
    let steps = Steps::new().then("guess").then(StepRef::new("echo").when(condition));
    let order = walkback::Order::list("web", steps).input(inputs.to_string());
    run(&engine(), order).await.steps.unwrap().len() == 2
}

#[tokio::test]
async fn a_step_that_reads_what_a_condition_leaves_out_is_named() {
    let steps = r#"[{"step": "create_vpc", "when": "inputs.net"}, "create_droplet"]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_droplet` of saga `web` needs `vpc_id`, which nothing before it provides"]
    );
}

#[tokio::test]
async fn a_group_whose_members_are_left_out_is_left_out() {
    let steps = r#"["guess", [{"step": "echo", "when": "inputs.lb"}], [["echo"], []]]"#;
    assert_eq!(run_list(steps, "{}").await.steps.unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_that_conditions_leave_empty_is_refused() {
    assert_eq!(
        wrong(r#"[{"step": "echo", "when": "inputs.lb"}]"#, "{}").await,
        ["the list of steps is empty: expected at least one"]
    );
}

#[tokio::test]
async fn a_condition_that_is_no_field_of_the_inputs_is_named() {
    assert_eq!(
        wrong(r#"[{"step": "echo", "when": "web.id"}]"#, "{}").await,
        ["step `echo` of saga `web` has `when: web.id`: expected `inputs.FIELD` or `not \
          inputs.FIELD`"]
    );
}

#[tokio::test]
async fn copies_of_no_field_of_the_inputs_are_named() {
    assert_eq!(
        wrong(r#"[{"step": "echo", "for_each": "inputs."}]"#, "{}").await,
        ["step `echo` of saga `web` has `for_each: inputs.`: expected `inputs.FIELD`"]
    );
}

#[tokio::test]
async fn copies_of_a_field_that_is_not_there_are_named() {
    assert_eq!(
        wrong(r#"[{"step": "echo", "for_each": "inputs.count"}]"#, "{}").await,
        ["step `echo` of saga `web` reads `for_each: inputs.count`, which the input does not have"]
    );
}

#[tokio::test]
async fn copies_of_what_is_no_count_and_no_list_are_named() {
    for (count, is) in [(r#""3""#, "a string"), ("-1", "-1"), ("1.5", "1.5"), ("{}", "an object")] {
        assert_eq!(
            wrong(
                r#"[{"step": "echo", "for_each": "count"}]"#,
                &format!(r#"{{"count": {count}}}"#)
            )
            .await,
            [format!(
                "step `echo` of saga `web` reads `for_each: count`, which is {is}: expected a \
                 count or a list"
            )]
        );
    }
}

#[tokio::test]
async fn too_many_copies_are_refused_before_they_are_made() {
    assert_eq!(
        wrong(
            r#"["echo", {"step": "echo", "for_each": "count"}]"#,
            r#"{"count": 1e18}"#.replace("1e18", "1000000000000000000").as_str()
        )
        .await,
        [
            "step `echo` of saga `web` would stand 1000000000000000000 times: at most 1000 steps are \
          allowed in all"
        ]
    );
}

#[tokio::test]
async fn what_is_stored_has_no_conditions_and_no_copies_to_make() {
    let steps = r#"[{"step": "echo", "when": "n", "for_each": "n"}]"#;
    let engine = engine();
    let order = walkback::Order::list("web", list(steps)).input(r#"{"n": 1}"#);
    let saga = run(&engine, order).await;
    let stored = engine.store().load(saga.id).await.unwrap().unwrap();
    assert_eq!(&*stored.spec.steps, r#"[[{"step":"echo","scope":"echo_0"}]]"#);
}
