//! A kind of saga as data.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::Mistakes;
use crate::limits;
use crate::recipe::{Steps, kind_of};
use crate::registry::Kind;
use crate::wiring::{Form, unknown};

mod paths;
mod text;

/// A kind of saga as data: YAML or JSON with `steps`, and if wanted a `kind` and the JSON schema
/// of its `input`.
///
/// Entries may say `when: inputs.FIELD` and `for_each: inputs.FIELD`; both are decided when a run
/// is started, and what is stored has neither.
///
/// ```
/// use walkback::{Definition, Engine, MemoryStore, Order, Registry, Status};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
/// let definition = Definition::parse(r#"
/// kind: greet
/// input: { type: object, required: [names], properties: { names: { type: array } } }
/// steps:
///   - echo: { for_each: inputs.names, from: { message: each } }
///   - sleep: { when: inputs.slowly, for: 1s }
/// "#.replace("when: inputs.slowly", "when: not inputs.names").as_str(), None)?;
/// assert_eq!(definition.kind(), Some("greet"));
///
/// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
/// let order = Order::definition(&definition).input(r#"{"names": ["Ada", "Grace"]}"#);
/// let started = engine.start_saga(order).await?;
/// engine.work_until_idle().await?;
/// let saga = engine.show_saga(started.id).await?;
/// assert_eq!(saga.status, Status::Completed);
/// assert_eq!(saga.steps.unwrap().len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Definition(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Option<String>,
    steps: Steps,
    form: Option<Form>,
}

impl Definition {
    /// Reads YAML or JSON of at most 1 MiB. Programs and directories of `command` steps that are
    /// given by a relative path are taken from `base_dir`, if there is one.
    ///
    /// # Errors
    /// Every mistake at once; malformed text with its line and column.
    pub fn parse(text: &str, base_dir: Option<&Path>) -> Result<Self, Mistakes> {
        let map = match text::value(text).map_err(|mistake| Mistakes(vec![mistake]))? {
            Value::Object(map) => map,
            other => {
                let kind = kind_of(&other);
                let text = format!("the definition is {kind}: expected an object with `steps`");
                return Err(Mistakes(vec![text]));
            }
        };
        let mut mistakes = Vec::new();
        let inner = Inner::read(map, &mut mistakes);
        let inner = inner.map(|mut inner| {
            paths::resolve(&mut inner.steps, base_dir, &mut mistakes);
            inner
        });
        match inner {
            Some(inner) if mistakes.is_empty() => Ok(Self(Arc::new(inner))),
            _ => Err(Mistakes(mistakes)),
        }
    }

    /// Reads a file; relative paths in it are taken from its directory.
    ///
    /// ```
    /// let missing = walkback::Definition::read("no/such.yaml").unwrap_err();
    /// assert!(missing.to_string().starts_with("`no/such.yaml` cannot be read: "));
    /// ```
    ///
    /// # Errors
    /// If it cannot be read, or every mistake in it; each names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Mistakes> {
        let path = path.as_ref();
        let name = path.display();
        let mistake = |text: String| Mistakes(vec![format!("`{name}` {text}")]);
        let most = limits::DEFINITION_BYTES as u64;
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
            .map_err(|error| mistake(format!("cannot be read: {error}")))?;
        if bytes.len() > limits::DEFINITION_BYTES {
            return Err(mistake(format!("has more than {most} bytes: expected a smaller file")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            mistake(format!("is no UTF-8 text: byte {at} does not belong there"))
        })?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Self::parse(&text, Some(directory.unwrap_or(Path::new(".")))).map_err(|mistakes| {
            Mistakes(mistakes.0.into_iter().map(|text| format!("`{name}`: {text}")).collect())
        })
    }

    /// The kind's name, if the definition says one.
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// The same under another kind's name.
    ///
    /// ```
    /// let definition = walkback::Definition::parse("{steps: [echo]}", None).unwrap();
    /// assert_eq!(definition.named("greeting").kind(), Some("greeting"));
    /// ```
    #[must_use]
    pub fn named(&self, kind: impl Into<String>) -> Self {
        let Inner { steps, form, .. } = &*self.0;
        let (steps, form) = (steps.clone(), form.clone());
        Self(Arc::new(Inner { kind: Some(kind.into()), steps, form }))
    }

    /// The name that its runs are stored with.
    pub(crate) fn name(&self) -> String {
        self.kind().unwrap_or("adhoc").to_owned()
    }

    pub(crate) fn into_kind(self) -> Kind {
        Kind::of_list(self.0.form.clone(), self.0.steps.clone())
    }
}

impl Inner {
    fn read(mut map: Map<String, Value>, mistakes: &mut Vec<String>) -> Option<Self> {
        let (kind, steps, input) = (map.remove("kind"), map.remove("steps"), map.remove("input"));
        for name in map.keys() {
            mistakes.push(unknown("field", name, ["kind", "steps", "input"].into_iter()));
        }
        let kind = match kind {
            None => None,
            Some(Value::String(kind)) => Some(kind),
            Some(other) => {
                mistakes.push(format!("`kind` is {}: expected a name", kind_of(&other)));
                None
            }
        };
        let form = input.and_then(|schema| {
            let form = Form::new(schema);
            form.map_err(|error| mistakes.push(format!("`input` is no JSON schema: {error}"))).ok()
        });
        let Some(steps) = steps else {
            mistakes.push("`steps` is missing: expected a list of steps".to_owned());
            return None;
        };
        match Steps::from_value(steps) {
            Ok(steps) => Some(Self { kind, steps, form }),
            Err(found) => {
                mistakes.extend(found);
                None
            }
        }
    }
}
