//! Everything that there is in the account, and what will happen to it by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::time::Timestamp;

use crate::simulator::Takes;
use crate::simulator::call::{Call, Refusal, not_found, unprocessable};

/// The account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct World {
    /// Things by kind and id. Members that begin with `_` are ours and never shown.
    shelves: BTreeMap<String, BTreeMap<String, Value>>,
    /// What happens by itself, in its order.
    due: Vec<(i64, Due)>,
    made: u64,
    /// The simulated moment up to which everything has happened.
    last: i64,
    /// The real and the simulated moment from which on time is counted, in this process.
    #[serde(skip)]
    since: Option<(i64, i64)>,
}

/// Something that happens by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Due {
    /// The action ends, and with it this comes about.
    Action(String, Effect),
    /// The thing is gone.
    Gone(String, String),
    /// The firewall is in force.
    Firewall(String),
    /// Members of the thing are these from then on.
    Becomes(String, String, Value),
}

/// What an action brings about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Effect {
    Boot(String),
    Status(String, String),
    Rename(String, String),
    Attach { volume: String, droplet: String },
    Detach { volume: String },
    Grow { volume: String, size: i64 },
    Assign { ip: String, droplet: String },
    Unassign { ip: String },
    Snapshot { droplet: String, name: String },
    Resize { droplet: String, size: String, disk: bool },
    Rebuild { droplet: String, image: Value },
    Backups { droplet: String, on: bool },
    Nothing,
}

impl World {
    /// The simulated moment of a real one.
    pub(super) fn time(&mut self, real: i64, speed: u32) -> i64 {
        let (from, start) = *self.since.get_or_insert((real, real.max(self.last)));
        start + (real - from) * i64::from(speed)
    }

    /// Lets happen what is due; says whether something was.
    pub(super) fn advance(&mut self, now: i64) -> bool {
        let waiting = self.due.len();
        self.last = self.last.max(now);
        self.due.sort_by_key(|(at, _)| *at);
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let (at, due) = self.due.remove(0);
            self.happen(at, due);
        }
        self.due.len() < waiting
    }

    pub(super) fn later(&mut self, call: &Call<'_>, takes: Takes, due: Due) {
        self.due.push((call.end_of(takes), due));
    }

    fn happen(&mut self, at: i64, due: Due) {
        match due {
            Due::Firewall(id) => self.change("firewalls", &id, |firewall| {
                firewall["status"] = json!("succeeded");
                firewall["pending_changes"] = json!([]);
            }),
            Due::Becomes(kind, id, members) => self.change(&kind, &id, |thing| {
                for (name, value) in members.as_object().into_iter().flatten() {
                    match (value, thing.as_object_mut()) {
                        (Value::Null, Some(thing)) => drop(thing.remove(name)),
                        _ => thing[name] = value.clone(),
                    }
                }
            }),
            Due::Gone(kind, id) => {
                self.remove(&kind, &id);
                if kind == "droplets" {
                    super::droplets::gone(self, &id);
                }
            }
            Due::Action(id, effect) => {
                let errored = self.get("actions", &id).is_some_and(|a| a["_errs"] == json!(true));
                self.change("actions", &id, |action| {
                    action["status"] = json!(if errored { "errored" } else { "completed" });
                    action["completed_at"] = json!(moment(at));
                });
                if !errored {
                    self.bring_about(effect, at);
                }
            }
        }
    }

    fn bring_about(&mut self, effect: Effect, at: i64) {
        match effect {
            Effect::Boot(id) => super::droplets::boot(self, &id),
            Effect::Status(id, status) => {
                self.change("droplets", &id, |droplet| droplet["status"] = json!(status));
            }
            Effect::Rename(id, name) => {
                self.change("droplets", &id, |droplet| droplet["name"] = json!(name));
            }
            Effect::Attach { volume, droplet } => {
                super::volumes::attach(self, &volume, &droplet);
            }
            Effect::Detach { volume } => super::volumes::detach(self, &volume),
            Effect::Grow { volume, size } => {
                self.change("volumes", &volume, |volume| volume["size_gigabytes"] = json!(size));
            }
            Effect::Assign { ip, droplet } => {
                self.change("reserved_ips", &ip, |ip| ip["_droplet"] = json!(droplet));
            }
            Effect::Unassign { ip } => {
                self.change("reserved_ips", &ip, |ip| ip["_droplet"] = Value::Null);
            }
            Effect::Snapshot { droplet, name } => {
                super::snapshots::of_droplet(self, &droplet, &name, at);
            }
            Effect::Resize { droplet, size, disk } => {
                super::droplets::resized(self, &droplet, &size, disk);
            }
            Effect::Rebuild { droplet, image } => {
                self.change("droplets", &droplet, |droplet| {
                    droplet["image"] = image;
                    droplet["status"] = json!("active");
                });
            }
            Effect::Backups { droplet, on } => super::droplets::backups(self, &droplet, on),
            Effect::Nothing => {}
        }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.made += 1;
        100_000 + self.made
    }

    /// A UUID that nothing else has.
    pub(super) fn uuid(&mut self) -> String {
        let number = u128::from(self.number());
        uuid::Uuid::from_u128(0x5a49_81aa_9653_4bd1_8000_0000_0000_0000 | number).to_string()
    }

    pub(super) fn put(&mut self, kind: &str, id: &str, mut thing: Value, now: i64) {
        thing["_born"] = json!(now);
        self.shelves.entry(kind.to_owned()).or_default().insert(id.to_owned(), thing);
    }

    pub(super) fn get(&self, kind: &str, id: &str) -> Option<&Value> {
        self.shelves.get(kind)?.get(id)
    }

    pub(super) fn must(&self, kind: &str, id: &str) -> Result<&Value, Refusal> {
        self.get(kind, id).ok_or_else(not_found)
    }

    pub(super) fn change(&mut self, kind: &str, id: &str, change: impl FnOnce(&mut Value)) {
        if let Some(thing) = self.shelves.get_mut(kind).and_then(|shelf| shelf.get_mut(id)) {
            change(thing);
        }
    }

    pub(super) fn remove(&mut self, kind: &str, id: &str) -> Option<Value> {
        self.shelves.get_mut(kind)?.remove(id)
    }

    /// These members of the thing are so from then on; null takes one away.
    pub(super) fn becomes(
        &mut self,
        call: &Call<'_>,
        takes: Takes,
        kind: &str,
        id: &str,
        members: Value,
    ) {
        self.later(call, takes, Due::Becomes(kind.to_owned(), id.to_owned(), members));
    }

    /// Removes a thing whose name and place are free only after a while.
    pub(super) fn leave(&mut self, call: &Call<'_>, kind: &str, id: &str, takes: Takes) {
        if let Some(thing) = self.remove(kind, id) {
            let shelf = format!("_{kind}");
            self.put(&shelf, id, thing, call.now);
            self.later(call, takes, Due::Gone(shelf, id.to_owned()));
        }
    }

    /// What was removed and still takes its name and place.
    pub(super) fn leaving(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.all(match kind {
            "databases" => "_databases",
            _ => "_load_balancers",
        })
    }

    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.shelves.get(kind).into_iter().flatten()
    }

    /// Whether the thing is there, and too new to be found by its id.
    pub(super) fn is_hidden(&self, kind: &str, id: &str, call: &Call<'_>) -> bool {
        self.get(kind, id).is_some_and(|thing| born(thing) > call.found_before)
    }

    /// What a list shows.
    pub(super) fn listed(&self, kind: &str, call: &Call<'_>) -> Vec<Value> {
        let shown = self.all(kind).filter(|(_, thing)| born(thing) <= call.listed_before);
        shown.map(|(_, thing)| public(thing)).collect()
    }

    pub(super) fn things(&self) -> BTreeMap<String, Vec<Value>> {
        let shown = |shelf: &BTreeMap<String, Value>| shelf.values().map(public).collect();
        let there = self.shelves.iter().filter(|(kind, shelf)| {
            *kind != "actions" && !kind.starts_with('_') && !shelf.is_empty()
        });
        there.map(|(kind, shelf)| (kind.clone(), shown(shelf))).collect()
    }

    /// Begins an action, as `Some` droplet or other thing.
    pub(super) fn act(
        &mut self,
        call: &Call<'_>,
        what: (&str, &str, &str),
        takes: Takes,
        errs: &mut u32,
        effect: Effect,
    ) -> Value {
        let (kind, on, id) = what;
        let number = self.number();
        let region =
            self.get(on_shelf(on), id).map_or(json!("fra1"), |thing| match &thing["region"] {
                Value::Object(region) => region["slug"].clone(),
                slug => slug.clone(),
            });
        let region = region.as_str().unwrap_or("fra1").to_owned();
        let resource_id = id.parse::<u64>().ok();
        // An event of the droplet too.
        let droplet = match &effect {
            Effect::Attach { droplet, .. } | Effect::Assign { droplet, .. } => {
                Some(droplet.clone())
            }
            _ => None,
        };
        let action = json!({
            "id": number, "status": "in-progress", "type": kind,
            "started_at": moment(call.now), "completed_at": null,
            "resource_id": resource_id, "resource_type": on,
            "region": super::catalogue::region(&region), "region_slug": region,
            "_of": id, "_on": droplet, "_errs": *errs > 0,
        });
        *errs = errs.saturating_sub(1);
        self.put("actions", &number.to_string(), action.clone(), call.now);
        self.later(call, takes, Due::Action(number.to_string(), effect));
        public(&action)
    }

    /// The actions of this thing.
    pub(super) fn actions_of(&self, id: &str) -> Vec<Value> {
        let own = self.all("actions").filter(|(_, action)| action["_of"] == id);
        own.map(|(_, action)| public(action)).collect()
    }

    /// An action of this thing.
    pub(super) fn action_of(&self, id: &str, action: &str) -> Result<Value, Refusal> {
        let found = self.get("actions", action).filter(|found| found["_of"] == json!(id));
        found.map(public).ok_or_else(not_found)
    }

    /// Whether something is under way on this thing.
    pub(super) fn busy(&self, id: &str) -> bool {
        let of_it = |action: &Value| {
            (action["_of"] == json!(id) || action["_on"] == json!(id))
                && action["status"] == "in-progress"
        };
        self.all("actions").any(|(_, action)| of_it(action))
    }

    pub(super) fn must_be_idle(&self, droplet: &str) -> Result<(), Refusal> {
        let busy = self.busy(droplet);
        if busy { Err(unprocessable("Droplet already has a pending event.")) } else { Ok(()) }
    }
}

/// When it was made.
fn born(thing: &Value) -> i64 {
    thing["_born"].as_i64().unwrap_or_default()
}

fn on_shelf(resource_type: &str) -> &'static str {
    match resource_type {
        "droplet" => "droplets",
        "reserved_ip" => "reserved_ips",
        _ => "volumes",
    }
}

/// The thing without what is ours.
pub(super) fn public(thing: &Value) -> Value {
    let mut shown = thing.clone();
    if let Value::Object(members) = &mut shown {
        members.retain(|name, _| !name.starts_with('_'));
    }
    shown
}

/// Whether a number is this id.
pub(super) fn is_id(number: &Value, id: &str) -> bool {
    number.as_u64().is_some_and(|number| id.parse() == Ok(number))
}

/// A moment as the API writes it.
pub(super) fn moment(millis: i64) -> String {
    let text = Timestamp::from_micros(millis * 1_000).to_string();
    format!("{}Z", text.split(['.', 'Z']).next().unwrap_or_default())
}
