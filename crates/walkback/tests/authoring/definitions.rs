//! A kind of saga as a file.

use std::path::{Path, PathBuf};

use serde_json::Value;
use walkback::{Definition, Engine, MemoryStore, Order, Status};

use crate::site::{context, engine, registry, run};

const SITE: &str = r"
kind: web_site
input:
  type: object
  required: [region, sizes]
  properties:
    region: { type: string }
    sizes: { type: array, items: { type: string } }
    old: { type: boolean }
steps:
  - create_vpc: { when: not inputs.old }
  - adopt_vpc: { when: inputs.old }
  - - step: create_droplet
      scope: web
      for_each: inputs.sizes
      from: { size: each }
      timeout: 10s
      retry: { attempts: 3, backoff: [1s, 10s] }
    - sleep: { for: 1ms }
  - create_balancer: { from: { droplet_ids: web_*.droplet_id } }
";

fn wrong(text: &str) -> Vec<String> {
    Definition::parse(text, None).unwrap_err().0
}

#[tokio::test]
async fn a_definition_is_started_by_its_kind_or_without_being_registered() {
    let definition = Definition::parse(SITE, None).unwrap();
    assert_eq!(definition.kind(), Some("web_site"));
    let registered = registry().definition(definition.clone());
    let registered = Engine::new(registered, MemoryStore::new()).unwrap();
    let input = r#"{"region": "fra", "sizes": ["s", "l"]}"#;
    for saga in [
        run(&registered, Order::kind("web_site").input(input)).await,
        run(&engine(), Order::definition(&definition).input(input)).await,
    ] {
        assert_eq!((saga.status, &*saga.kind), (Status::Completed, "web_site"));
        assert_eq!(context(&saga, "/balancer_id"), "lb[8, 8]");
    }
    let wrong = Order::definition(&definition).input(r#"{"region": "fra"}"#);
    assert_eq!(crate::site::refused(wrong).await, ["input: `sizes` is missing"]);
}

#[test]
fn json_is_read_as_well() {
    let json = r#"{"kind": "j", "steps": ["echo", {"echo": {"message": "\ud83d\ude00\n"}}]}"#;
    assert_eq!(Definition::parse(json, None).unwrap().kind(), Some("j"));
    let tabs = json.replace(", ", ",\n\t");
    assert_eq!(Definition::parse(&tabs, None).unwrap().kind(), Some("j"));
}

#[tokio::test]
async fn words_stay_words() {
    let text =
        "steps:\n- echo: {message: [10s, 1_000, 007, no, on, 1.10.1, 2026-01-01, ~, 1, true]}";
    let saga = run(&engine(), Order::definition(&Definition::parse(text, None).unwrap())).await;
    let words: Value = serde_json::from_str(
        r#"["10s", "1_000", "007", "no", "on", "1.10.1", "2026-01-01", null, 1, true]"#,
    )
    .unwrap();
    assert_eq!(context(&saga, "/echoed_at_step_0"), words);
}

#[test]
fn an_unknown_field_is_named() {
    assert_eq!(
        wrong("{step: [echo], steps: [echo]}"),
        ["field `step` is unknown: did you mean `steps`? known are `input`, `kind`, `steps`"]
    );
}

#[test]
fn missing_steps_are_named() {
    assert_eq!(wrong("kind: x"), ["`steps` is missing: expected a list of steps"]);
}

#[test]
fn what_is_no_object_is_named() {
    assert_eq!(wrong("[echo]"), ["the definition is a list: expected an object with `steps`"]);
    assert_eq!(wrong(""), ["the definition is null: expected an object with `steps`"]);
}

#[test]
fn every_mistake_comes_at_once() {
    assert_eq!(
        wrong("{kind: [], kinds: x, input: {type: strin}, steps: [1, {a: 1, b: 2}]}"),
        [
            "field `kinds` is unknown: did you mean `kind`? known are `input`, `kind`, `steps`",
            "`kind` is a list: expected a name",
            "`input` is no JSON schema: \"strin\" is not valid under any of the schemas listed in \
             the 'anyOf' keyword",
            "a step is a number: expected a name, an object or a list",
            "a step entry has the fields `a`, `b`: expected `{step: NAME, …}` or `NAME: {…}`",
        ]
    );
}

#[test]
fn a_schema_from_elsewhere_is_not_fetched() {
    let mistakes = wrong(r#"{steps: [echo], input: {$ref: "https://example.com/x.json"}}"#);
    assert!(mistakes[0].starts_with("`input` is no JSON schema: "), "{mistakes:?}");
}

#[test]
fn malformed_text_is_named_with_its_place() {
    assert_eq!(wrong("kind: x\nsteps: [echo\n"), ["line 2, column 8: unclosed bracket '['"]);
}

#[test]
fn a_key_that_stands_twice_is_named_with_its_place() {
    let mistakes = wrong("steps: [echo]\nsteps: [fail]\n");
    assert_eq!(mistakes, ["line 2, column 1: `steps` stands twice: expected each field once"]);
}

#[test]
fn text_that_is_too_deep_is_refused() {
    let deep = format!("steps: {}{}", "[".repeat(100), "]".repeat(100));
    let mistakes = wrong(&deep);
    assert!(mistakes[0].contains("depth"), "{mistakes:?}");
}

#[test]
fn text_that_is_too_large_is_refused() {
    let text = format!("steps: [echo] # {}", "x".repeat(1024 * 1024));
    let bytes = text.len();
    assert_eq!(
        wrong(&text),
        [format!("the definition has {bytes} bytes; at most 1048576 are allowed")]
    );
}

#[test]
fn text_that_grows_too_large_when_written_out_is_refused() {
    let long = "x".repeat(100_000);
    let text = format!("steps: [echo: {{a: &a {long}, b: [{}]}}]", vec!["*a"; 20].join(", "));
    let mistakes = wrong(&text);
    assert!(mistakes[0].starts_with("the definition, written out, has 2"), "{mistakes:?}");
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("walkback-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    assert_eq!(
        Definition::read("no/such.yaml").unwrap_err().to_string(),
        "`no/such.yaml` cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let directory = Directory::new("bytes");
    let path = directory.file("site.yaml", b"steps: [\xff]");
    assert_eq!(
        Definition::read(&path).unwrap_err().to_string(),
        format!("`{}` is no UTF-8 text: byte 8 does not belong there", path.display())
    );
}

#[test]
fn every_mistake_in_a_file_names_it() {
    let directory = Directory::new("mistakes");
    let path = directory.file("site.yaml", b"{kind: 1, steps: 2}");
    let name = path.display();
    assert_eq!(
        Definition::read(&path).unwrap_err().0,
        [
            format!("`{name}`: `kind` is a number: expected a name"),
            format!("`{name}`: `steps` is a number: expected a list"),
        ]
    );
}

/// A stand-in that says what a `command` step would run.
struct Command;

impl walkback::DynamicStep for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    async fn execute(
        &self,
        _: &walkback::Attempt,
        context: &mut walkback::Context,
    ) -> Result<(), walkback::StepError> {
        for name in ["execute", "compensate", "probe", "cwd"] {
            let parameter = context.parameter(name).cloned();
            context.put_output(name, &parameter)?;
        }
        Ok(())
    }
}

async fn commands(definition: &Definition) -> Vec<Value> {
    let registry = walkback::Registry::new().dynamic(Command);
    let engine = Engine::new(registry, MemoryStore::new()).unwrap();
    let saga = run(&engine, Order::definition(definition)).await;
    ["/execute", "/compensate", "/probe", "/cwd"].map(|name| context(&saga, name)).to_vec()
}

#[tokio::test]
async fn relative_programs_are_taken_from_the_directory_of_the_file() {
    let directory = Directory::new("paths");
    let text = "steps:\n- - command: {execute: [./bin/up.sh, ./a], compensate: [rm, -r, ./b], \
                probe: [/bin/ls], cwd: work}\n";
    let path = directory.file("site.yaml", text.as_bytes());
    let base = directory.0.display();
    let expected = serde_json::json!([
        [format!("{base}/bin/up.sh"), "./a"],
        ["rm", "-r", "./b"],
        ["/bin/ls"],
        format!("{base}/work"),
    ]);
    let read = Definition::read(path).unwrap();
    assert_eq!(Value::Array(commands(&read).await), expected);
    let parsed = Definition::parse(text, Some(&directory.0)).unwrap();
    assert_eq!(Value::Array(commands(&parsed).await), expected);
    let parsed = Definition::parse(text, None).unwrap();
    assert_eq!(commands(&parsed).await[3], "work");
}

#[test]
fn a_base_directory_that_is_not_there_is_named() {
    let text = "steps: [command: {execute: [./up.sh]}]";
    assert_eq!(
        Definition::parse(text, Some(Path::new("/no/such"))).unwrap_err().to_string(),
        "directory `/no/such` cannot be read: No such file or directory (os error 2)"
    );
}
