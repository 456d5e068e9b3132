//! Every field in a lock's key is there before the step, and one that can stand in a key.

use serde_json::json;

use crate::limits;
use crate::recipe::Part;
use crate::wiring::list::{Found, List};
use crate::wiring::shape::Shape;

/// Every mistake in the locks of the list.
pub(crate) fn check(list: &List<'_>, mistakes: &mut Vec<String>) {
    let scalar = json!({"type": ["string", "integer", "number", "boolean"]});
    let scalar = Shape::of(&scalar, &scalar);
    for idx in 0..list.plan.len() {
        let mut found = Vec::new();
        for lock in &list.plan.step(idx).lock {
            let key = &lock.key;
            found.extend(limits::no_nul("a lock", key));
            if key.len() > limits::NAME_BYTES {
                let (size, most) = (key.len(), limits::NAME_BYTES);
                found.push(format!("a lock has {size} bytes; at most {most} are allowed"));
            }
            let parts = lock.parts().unwrap_or_else(|mistake| {
                found.push(mistake);
                Vec::new()
            });
            for part in parts {
                let Part::Field(path) = part else { continue };
                let shape = match list.find(idx, path) {
                    Found::Nothing(why) => {
                        found.push(format!("locks `{key}` by `{path}`, {why}"));
                        continue;
                    }
                    Found::Value(value, whose) => (Shape::of_value(&value), whose.to_owned()),
                    Found::Shape(shape, whose) => (shape, whose),
                    Found::Anything => continue,
                };
                if let Some(mismatch) = shape.0.mismatch(&scalar) {
                    let (wanted, whose, given) = (mismatch.wanted, shape.1, mismatch.given);
                    found.push(format!(
                        "locks `{key}` by `{path}` as {wanted}, but {whose} {given}"
                    ));
                }
            }
        }
        let (label, saga) = (list.label(idx), list.saga);
        mistakes.extend(found.iter().map(|mistake| format!("{label} of saga `{saga}` {mistake}")));
    }
}
