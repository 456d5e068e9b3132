//! What rustc says to an author who wrote a step wrongly: short, and about the author's own code.

#[test]
fn wrong_steps_are_told_in_the_authors_words() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
