//! A field that a step reads must be there, before it, and of its type.

use walkback::Order;

use crate::site::{list, wrong};

const HERE: &str = r#"{"region": "fra"}"#;

#[tokio::test]
async fn a_field_that_nothing_provides_is_named() {
    assert_eq!(
        wrong(r#"["create_droplet"]"#, HERE).await,
        ["step `create_droplet` of saga `web` needs `vpc_id`, which nothing before it provides"]
    );
}

#[tokio::test]
async fn a_field_that_only_a_later_step_provides_is_named() {
    assert_eq!(
        wrong(r#"["create_droplet", "create_vpc"]"#, HERE).await,
        ["step `create_droplet` of saga `web` needs `vpc_id`, which only step `create_vpc` after \
          it provides: it may not be there yet"]
    );
}

#[tokio::test]
async fn a_field_that_only_a_sibling_provides_is_named() {
    assert_eq!(
        wrong(r#"[["create_vpc", "create_droplet"]]"#, HERE).await,
        ["step `create_droplet` of saga `web` needs `vpc_id`, which only step `create_vpc` \
          beside it provides: it may not be there yet"]
    );
}

#[tokio::test]
async fn a_list_within_a_group_has_an_order_of_its_own() {
    assert_eq!(
        wrong(r#"[[["create_vpc", "create_droplet"], "need"]]"#, HERE).await,
        ["step `need` of saga `web` needs `maybe`, which nothing before it provides"]
    );
}

#[tokio::test]
async fn a_field_that_is_in_a_scope_only_is_named_with_its_path() {
    let steps = r#"[{"step": "create_vpc", "scope": "net"}, "create_droplet"]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_droplet` of saga `web` needs `vpc_id`, which is provided within a scope \
          only: expected `from` with `net.vpc_id`"]
    );
}

#[tokio::test]
async fn a_path_that_nothing_provides_is_named() {
    let steps = r#"["create_vpc",
        {"step": "create_droplet", "scope": "web", "from": {"vpc_id": "net.vpc_id"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        [
            "step `web.create_droplet` of saga `web` reads `vpc_id` from `net.vpc_id`, which nothing \
          before it provides"
        ]
    );
}

#[tokio::test]
async fn a_path_to_an_input_that_is_not_there_is_named() {
    let steps = r#"[{"step": "create_droplet", "from": {"vpc_id": "inputs.vpc"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_droplet` of saga `web` reads `vpc_id` from `inputs.vpc`, which the input \
          does not have"]
    );
}

#[tokio::test]
async fn a_mapped_field_must_be_there_even_if_it_is_optional() {
    let steps = r#"[{"step": "name", "from": {"name": "title"}}]"#;
    assert_eq!(
        wrong(steps, "{}").await,
        ["step `name` of saga `web` reads `name` from `title`, which nothing before it provides"]
    );
}

#[tokio::test]
async fn a_collected_path_that_nothing_provides_is_named() {
    let steps = r#"["create_vpc", {"step": "create_balancer",
        "from": {"droplet_ids": ["web.droplet_id", "db.droplet_id"]}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_balancer` of saga `web` reads `droplet_ids` of `web.droplet_id`, which \
          nothing before it provides"]
    );
}

#[tokio::test]
async fn a_wildcard_that_no_scope_fits_is_named() {
    let steps = r#"[{"step": "create_balancer", "from": {"droplet_ids": "wbe_*.droplet_id"}}]"#;
    assert_eq!(
        wrong(steps, "{}").await,
        ["step `create_balancer` of saga `web` reads `droplet_ids` of `wbe_*.droplet_id`, which \
          nothing before it provides"]
    );
}

#[tokio::test]
async fn a_field_that_the_input_of_a_step_does_not_have_is_named() {
    let steps = r#"[{"step": "create_vpc", "from": {"regoin": "region"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_vpc` of saga `web` has no input field `regoin`: did you mean `region`? \
          known are `region`"]
    );
}

#[tokio::test]
async fn a_parameter_that_the_input_of_a_step_does_not_have_is_named() {
    let steps = r#"[{"create_vpc": {"zone": "a"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `create_vpc` of saga `web` has no input field `zone`: known are `region`"]
    );
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_named() {
    let steps =
        r#"[{"step": "create_vpc", "from": {"region": "region"}, "with": {"region": "x"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        [
            "step `create_vpc` of saga `web` is given `region` by `from` and by `with`: expected one \
          of them"
        ]
    );
}

#[tokio::test]
async fn an_output_of_another_type_is_named() {
    let steps = r#"["create_vpc", "create_droplet",
        {"step": "resize", "from": {"size": "droplet_id"}}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `resize` of saga `web` needs `size` as a string, but step `create_droplet` puts \
          out an integer"]
    );
}

#[tokio::test]
async fn an_input_of_another_type_is_named() {
    assert_eq!(
        wrong(r#"["create_vpc"]"#, r#"{"region": 7}"#).await,
        [
            "step `create_vpc` of saga `web` needs `region` as a string, but the input has an integer"
        ]
    );
}

#[tokio::test]
async fn a_parameter_of_another_type_is_named() {
    let steps = r#"[{"step": "create_vpc", "with": {"region": true}}]"#;
    assert_eq!(
        wrong(steps, "{}").await,
        ["step `create_vpc` of saga `web` needs `region` as a string, but `with` has a boolean"]
    );
}

#[tokio::test]
async fn a_list_of_another_type_is_named() {
    assert_eq!(
        wrong(r#"["list_names"]"#, r#"{"names": ["a", 1]}"#).await,
        [
            "step `list_names` of saga `web` needs `names` as a list of strings, but the input has a \
          list of strings or integers"
        ]
    );
}

#[tokio::test]
async fn a_collected_list_of_another_type_is_named() {
    let steps = r#"["adopt_vpc",
        {"step": "create_balancer", "from": {"droplet_ids": ["vpc_id"]}}]"#;
    assert_eq!(
        wrong(steps, "{}").await,
        ["step `create_balancer` of saga `web` needs `droplet_ids` as a list of integers, but it \
          collects a list of strings"]
    );
}

#[tokio::test]
async fn an_output_that_may_be_null_does_not_fit_where_something_is_needed() {
    assert_eq!(
        wrong(r#"["guess", "need"]"#, "{}").await,
        [
            "step `need` of saga `web` needs `maybe` as a string, but step `guess` puts out a string \
          or null"
        ]
    );
}

#[tokio::test]
async fn an_integer_fits_where_a_number_is_wanted_and_not_the_other_way() {
    assert_eq!(
        wrong(
            r#"["price", "weigh", {"step": "count", "from": {"ratio": "inputs.share"}}]"#,
            r#"{"share": 0.5}"#
        )
        .await,
        ["step `count` of saga `web` needs `ratio` as an integer, but the input has a number"]
    );
}

#[tokio::test]
async fn a_value_out_of_range_is_named_without_being_shown() {
    assert_eq!(
        wrong(r#"["open_port"]"#, r#"{"port": 70000}"#).await,
        [
            "step `open_port` of saga `web` cannot take what it is given: `port` is greater than the \
          maximum of 65535"
        ]
    );
}

#[tokio::test]
async fn a_dynamic_step_before_it_may_provide_anything() {
    let steps = r#"[["echo", "create_vpc"], {"step": "create_droplet", "scope": "a"}, "need"]"#;
    let later = r#"["need", "echo"]"#;
    assert_eq!(
        wrong(later, "{}").await,
        ["step `need` of saga `web` needs `maybe`, which nothing before it provides"]
    );
    crate::site::engine().start_saga(Order::list("web", list(steps)).input(HERE)).await.unwrap();
}

#[tokio::test]
async fn what_a_dynamic_step_is_mapped_to_must_be_there_too() {
    let steps = r#"[{"step": "echo", "from": {"message": "net.vpc_id"}}]"#;
    assert_eq!(
        wrong(steps, "{}").await,
        ["step `echo` of saga `web` reads `message` from `net.vpc_id`, which nothing before it \
          provides"]
    );
}

#[tokio::test]
async fn every_mistake_comes_at_once() {
    let steps = r#"["need", "open_port", "ech", {"step": "create_vpc", "with": {"region": 1}}]"#;
    let mistakes = wrong(steps, r#"{"port": "http"}"#).await;
    assert!(mistakes[0].starts_with("step `ech` is unknown: did you mean `echo`?"));
    assert_eq!(
        mistakes[1..],
        [
            "step `need` of saga `web` needs `maybe`, which nothing before it provides",
            "step `open_port` of saga `web` needs `port` as an integer, but the input has a string",
            "step `create_vpc` of saga `web` needs `region` as a string, but `with` has an integer",
        ]
    );
}
