//! Every field has one writer, every scope a name of its own.

use crate::site::wrong;

const HERE: &str = r#"{"region": "fra"}"#;

#[tokio::test]
async fn two_writers_of_one_field_are_named() {
    assert_eq!(
        wrong(r#"["create_vpc", "adopt_vpc"]"#, HERE).await,
        ["step `adopt_vpc` of saga `web` puts out `vpc_id`, as step `create_vpc` does: expected \
          another scope for one"]
    );
}

#[tokio::test]
async fn two_writers_in_one_scope_are_named() {
    let steps =
        r#"[{"step": "create_vpc", "scope": "net"}, {"step": "adopt_vpc", "scope": "net"}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["step `net.adopt_vpc` of saga `web` puts out `net.vpc_id`, as step `net.create_vpc` \
          does: expected another scope for one"]
    );
}

#[tokio::test]
async fn an_output_that_the_input_has_already_is_named() {
    assert_eq!(
        wrong(r#"["adopt_vpc"]"#, r#"{"vpc_id": "mine"}"#).await,
        [
            "step `adopt_vpc` of saga `web` puts out `vpc_id`, which the input has already: expected \
          a scope"
        ]
    );
}

#[tokio::test]
async fn a_typed_step_needs_a_scope_to_stand_twice() {
    assert_eq!(
        wrong(r#"["create_vpc", "create_vpc"]"#, HERE).await,
        ["step `create_vpc` stands twice in saga `web`: expected a `scope` for each"]
    );
}

#[tokio::test]
async fn a_typed_step_needs_another_scope_to_stand_twice_in_one() {
    let twice = r#"{"step": "create_vpc", "scope": "net"}"#;
    assert_eq!(
        wrong(&format!("[{twice}, {twice}]"), HERE).await,
        ["step `create_vpc` stands twice in scope `net` of saga `web`: expected a scope of its \
          own for each"]
    );
}

#[tokio::test]
async fn a_scope_that_is_also_a_field_of_the_input_is_named() {
    assert_eq!(
        wrong(r#"[{"step": "create_vpc", "scope": "region"}]"#, HERE).await,
        ["scope `region` of saga `web` is also a field of the input: expected another name"]
    );
}

#[tokio::test]
async fn a_scope_that_is_also_an_output_is_named() {
    let steps = r#"["create_vpc", {"step": "create_droplet", "scope": "vpc_id"}]"#;
    assert_eq!(
        wrong(steps, HERE).await,
        ["scope `vpc_id` of saga `web` is also a field that step `create_vpc` puts out: expected \
          another name"]
    );
}

#[tokio::test]
async fn a_scope_that_could_not_be_told_from_a_path_is_named() {
    for scope in ["inputs", "a.b", "a_*", ""] {
        assert_eq!(
            wrong(&format!(r#"[{{"step": "create_vpc", "scope": "{scope}"}}]"#), HERE).await,
            [format!(
                "step `create_vpc` of saga `web` has the scope `{scope}`: expected a name without \
                 `.` and `*` that is not `inputs`, `each` or `index`, of at most 200 bytes"
            )]
        );
    }
}

#[tokio::test]
async fn a_pivot_inside_a_group_is_named() {
    assert_eq!(
        wrong(r#"[["pay", "create_vpc"]]"#, HERE).await,
        ["step `pay` of saga `web` is a pivot inside a group: expected it to stand alone"]
    );
}
