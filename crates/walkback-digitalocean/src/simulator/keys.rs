//! SSH keys, by id or by fingerprint.

use serde_json::{Value, json};

use crate::client::Method;
use crate::simulator::call::{Call, Said, not_found, unprocessable};
use crate::simulator::world::{World, public};
use crate::steps::fingerprint;

pub(super) fn answer(world: &mut World, call: &Call<'_>, rest: &[&str]) -> Said {
    let found = rest.first().and_then(|named| find(world, named));
    match (call.method, rest) {
        (Method::Get, []) => Ok((200, call.page("ssh_keys", world.listed("ssh_keys", call)))),
        (Method::Post, []) => {
            let (name, public_key) = (call.text("name")?, call.text("public_key")?);
            let Some(fingerprint) = fingerprint(public_key) else {
                return Err(unprocessable(
                    "Key invalid, key should be of the format `type key [comment]`",
                ));
            };
            if find(world, &fingerprint).is_some() {
                return Err(unprocessable("SSH Key is already in use on your account"));
            }
            let id = world.number();
            let key = json!({"id": id, "fingerprint": fingerprint, "public_key": public_key, "name": name});
            world.put("ssh_keys", &id.to_string(), key.clone(), call.now);
            Ok((201, json!({ "ssh_key": key })))
        }
        (Method::Get, [_]) => {
            let id = found.ok_or_else(not_found)?;
            Ok((200, json!({"ssh_key": public(world.must("ssh_keys", &id)?)})))
        }
        (Method::Put, [_]) => {
            let (id, name) = (found.ok_or_else(not_found)?, call.text("name")?);
            world.change("ssh_keys", &id, |key| key["name"] = json!(name));
            Ok((200, json!({"ssh_key": public(world.must("ssh_keys", &id)?)})))
        }
        (Method::Delete, [_]) => {
            world.remove("ssh_keys", &found.ok_or_else(not_found)?);
            Ok((204, Value::Null))
        }
        _ => Err(not_found()),
    }
}

/// The id of the key of this id or fingerprint.
pub(super) fn find(world: &World, named: &str) -> Option<String> {
    let is_it = |id: &str, key: &Value| id == named || key["fingerprint"] == named;
    let (id, _) = world.all("ssh_keys").find(|(id, key)| is_it(id, key))?;
    Some(id.clone())
}
