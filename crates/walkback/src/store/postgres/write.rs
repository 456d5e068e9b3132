//! Statements that change runs: many runs in one statement, each under its own guard (promise I7).

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::desired::RecordChange;
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::store::postgres::codec::{RUN, claim_uuid, index, micros, saga_id, signed, uuid};
use crate::store::postgres::connect::{Connection, Trouble, Value};
use crate::store::postgres::{locks, read, records, single};
use crate::store::{Appended, Claim, Head, NewRun, Party, Spec, Started, Transition, WorkerId};

/// Rows of many ledgers, column by column.
#[derive(Default)]
struct Rows<'a> {
    ids: Vec<Uuid>,
    seqs: Vec<i64>,
    kinds: Vec<&'a str>,
    steps: Vec<Option<i32>>,
    attempts: Vec<Option<i32>>,
    actors: Vec<Option<&'a str>>,
    claims: Vec<Uuid>,
    fences: Vec<i64>,
    ats: Vec<i64>,
    payloads: Vec<&'a str>,
    previous: Vec<&'a [u8]>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, id: SagaId, rows: &'a [Row]) {
        for row in rows {
            self.ids.push(uuid(id));
            self.seqs.push(signed(row.seq));
            self.kinds.push(&row.kind);
            self.steps.push(row.step_idx.map(index));
            self.attempts.push(row.attempt.map(|attempt| attempt.try_into().unwrap_or(i32::MAX)));
            self.actors.push(row.actor.as_deref());
            self.claims.push(claim_uuid(row.claim));
            self.fences.push(signed(row.fence));
            self.ats.push(row.at.as_micros());
            self.payloads.push(&row.payload);
            self.previous.push(&row.previous.0);
        }
    }

    /// The columns, in the order in which the statements have them.
    fn values(&self) -> [Value<'_>; 11] {
        [
            (&self.ids, Type::UUID_ARRAY),
            (&self.seqs, Type::INT8_ARRAY),
            (&self.kinds, Type::TEXT_ARRAY),
            (&self.steps, Type::INT4_ARRAY),
            (&self.attempts, Type::INT4_ARRAY),
            (&self.actors, Type::TEXT_ARRAY),
            (&self.claims, Type::UUID_ARRAY),
            (&self.fences, Type::INT8_ARRAY),
            (&self.ats, Type::INT8_ARRAY),
            (&self.payloads, Type::TEXT_ARRAY),
            (&self.previous, Type::BYTEA_ARRAY),
        ]
    }
}

/// Heads of many runs, column by column.
#[derive(Default)]
struct Heads<'a> {
    ids: Vec<Uuid>,
    statuses: Vec<&'static str>,
    current: Vec<i32>,
    steps: Vec<&'a str>,
    cancels: Vec<bool>,
    errors: Vec<Option<&'a str>>,
    parked: Vec<Option<&'a str>>,
    attention: Vec<bool>,
    started: Vec<Option<i64>>,
    finished: Vec<Option<i64>>,
    lens: Vec<i64>,
    hashes: Vec<&'a [u8]>,
    wakes: Vec<Option<i64>>,
    calls: Vec<Option<i64>>,
}

impl<'a> Heads<'a> {
    fn add(&mut self, id: SagaId, head: &'a Head) {
        self.ids.push(uuid(id));
        self.statuses.push(head.status.name());
        self.current.push(index(head.current_step));
        self.steps.push(&head.steps);
        self.cancels.push(head.cancel_requested);
        self.errors.push(head.error.as_deref());
        self.parked.push(head.parked.as_deref());
        self.attention.push(head.attention);
        self.started.push(micros(head.started_at));
        self.finished.push(micros(head.finished_at));
        self.lens.push(signed(head.len));
        self.hashes.push(&head.hash.0);
        self.wakes.push(micros(head.wake_at));
        self.calls.push(micros(head.call_at));
    }

    /// The columns, in the order in which the statements have them.
    fn values(&self) -> [Value<'_>; 14] {
        [
            (&self.ids, Type::UUID_ARRAY),
            (&self.statuses, Type::TEXT_ARRAY),
            (&self.current, Type::INT4_ARRAY),
            (&self.steps, Type::TEXT_ARRAY),
            (&self.cancels, Type::BOOL_ARRAY),
            (&self.errors, Type::TEXT_ARRAY),
            (&self.parked, Type::TEXT_ARRAY),
            (&self.attention, Type::BOOL_ARRAY),
            (&self.started, Type::INT8_ARRAY),
            (&self.finished, Type::INT8_ARRAY),
            (&self.lens, Type::INT8_ARRAY),
            (&self.hashes, Type::BYTEA_ARRAY),
            (&self.wakes, Type::INT8_ARRAY),
            (&self.calls, Type::INT8_ARRAY),
        ]
    }
}

/// A run to be accepted, and for whom.
pub(super) struct Accepting {
    pub(super) run: NewRun,
    pub(super) claim: Option<(WorkerId, ClaimId)>,
}

/// Accepts many runs; of each says what became of it. One whose key is known twice over is tried
/// again by the caller: nothing was found then.
pub(super) async fn start(
    connection: &mut Connection,
    all: &[Arc<Accepting>],
) -> Result<Vec<Option<Started>>, Trouble> {
    let alone = match all {
        [one] => single::start(connection, one).await?.map(|entry| (one.run.spec.id, entry)),
        _ => None,
    };
    let accepted = match alone {
        Some(one) => HashMap::from([one]),
        None => insert(connection, all).await?,
    };
    let mut keys = Vec::new();
    for one in all {
        if accepted.get(&one.run.spec.id) != Some(&Entry::Accepted) {
            keys.extend(one.run.spec.key.as_deref());
        }
    }
    let known = if keys.is_empty() { Ok(HashMap::new()) } else { specs(connection, &keys).await };
    // The others are accepted by now: this is no refusal of all.
    let known = known.map_err(|trouble| match trouble {
        Trouble::Server(error) => Trouble::Damaged(error.to_string()),
        other => other,
    })?;
    let ends = all.iter().map(|one| {
        let spec = &one.run.spec;
        let exists = || {
            let known = spec.key.as_ref().and_then(|key| known.get(key));
            known.map(|known| Started::Exists(Box::new(known.clone())))
        };
        let claim = || one.claim.map(|(_, claim)| Claim::new(spec.id, claim, 1, 0));
        match accepted.get(&spec.id)? {
            Entry::Accepted => Some(Started::Created(claim())),
            Entry::Ownerless => exists().or(Some(Started::NotEnlisted)),
            Entry::Refused => exists(),
        }
    });
    Ok(ends.collect())
}

/// What the statement did with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Accepted,
    /// Its owner does not work here.
    Ownerless,
    /// Its key is known.
    Refused,
}

impl Entry {
    pub(super) fn new(accepted: bool, owner_works: bool) -> Self {
        match (accepted, owner_works) {
            (true, _) => Self::Accepted,
            (false, true) => Self::Refused,
            (false, false) => Self::Ownerless,
        }
    }
}

async fn insert(
    connection: &mut Connection,
    all: &[Arc<Accepting>],
) -> Result<HashMap<SagaId, Entry>, Trouble> {
    let (mut heads, mut rows) = (Heads::default(), Rows::default());
    let mut labels: (Vec<Uuid>, Vec<&str>, Vec<&str>) = Default::default();
    for run in all.iter().map(|one| &one.run) {
        heads.add(run.spec.id, &run.head);
        rows.add(run.spec.id, &run.rows);
        for (name, value) in &run.spec.labels {
            labels.0.push(uuid(run.spec.id));
            labels.1.push(name);
            labels.2.push(value);
        }
    }
    let specs: Vec<&Spec> = all.iter().map(|one| &one.run.spec).collect();
    let texts = |of: fn(&Spec) -> &str| specs.iter().map(|spec| of(spec)).collect::<Vec<&str>>();
    let (kinds, steps) = (texts(|spec| &spec.kind), texts(|spec| &spec.steps));
    let (inputs, queues) = (texts(|spec| spec.inputs.as_str()), texts(|spec| &spec.queue));
    let keys: Vec<Option<&str>> = specs.iter().map(|spec| spec.key.as_deref()).collect();
    let json = |spec: &&Spec| serde_json::to_string(&spec.labels).unwrap_or_default();
    let written: Vec<String> = specs.iter().map(json).collect();
    let priorities: Vec<i32> = specs.iter().map(|spec| spec.priority).collect();
    let deadlines: Vec<Option<i64>> = specs.iter().map(|spec| micros(spec.deadline)).collect();
    let created: Vec<i64> = specs.iter().map(|spec| spec.created_at.as_micros()).collect();
    let needs: Vec<i64> = all.iter().map(|one| one.run.needs.0).collect();
    let parties: Vec<i64> = specs.iter().map(|spec| Party::of(spec).0).collect();
    let workers: Vec<Option<i64>> =
        all.iter().map(|one| one.claim.map(|(worker, _)| signed(worker.0))).collect();
    let claims: Vec<Option<Uuid>> =
        all.iter().map(|one| one.claim.map(|(_, claim)| claim_uuid(claim))).collect();
    let specs = [
        (&kinds as _, Type::TEXT_ARRAY),
        (&steps as _, Type::TEXT_ARRAY),
        (&inputs as _, Type::TEXT_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&written as _, Type::TEXT_ARRAY),
        (&queues as _, Type::TEXT_ARRAY),
        (&priorities as _, Type::INT4_ARRAY),
        (&deadlines as _, Type::INT8_ARRAY),
        (&created as _, Type::INT8_ARRAY),
        (&needs as _, Type::INT8_ARRAY),
        (&parties as _, Type::INT8_ARRAY),
        (&workers as _, Type::INT8_ARRAY),
        (&claims as _, Type::UUID_ARRAY),
        (&labels.0 as _, Type::UUID_ARRAY),
        (&labels.1 as _, Type::TEXT_ARRAY),
        (&labels.2 as _, Type::TEXT_ARRAY),
    ];
    let values: Vec<Value<'_>> =
        heads.values().into_iter().chain(specs).chain(rows.values()).collect();
    let accepted = connection.query(include_str!("start.sql"), &values).await?;
    let entry = |row: &tokio_postgres::Row| {
        Ok((saga_id(row, 0)?, Entry::new(row.try_get(1)?, row.try_get(2)?)))
    };
    accepted.iter().map(entry).collect()
}

/// The runs that have these keys.
async fn specs(
    connection: &mut Connection,
    keys: &[&str],
) -> Result<HashMap<String, Spec>, Trouble> {
    let sql = format!(
        "SELECT {RUN} FROM run_specs s JOIN run_heads h USING (id) WHERE s.idempotency_key = ANY ((SELECT $1)::text[])"
    );
    let found = connection.query(&sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    let known = found.iter().map(|row| {
        let spec = read::run(row, 0)?.spec;
        Ok((spec.key.clone().unwrap_or_default(), spec))
    });
    known.collect()
}

/// What is to be added to a run, with or without a claim.
pub(super) struct Appending {
    pub(super) id: SagaId,
    pub(super) claim: Option<Claim>,
    pub(super) transition: Transition,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Appended(Appended),
    /// It closes what the run has provisioned, which takes a transaction; nothing was done yet.
    Wide,
}

impl Appending {
    /// Whether it changes what runs have provisioned or hold, or depends on that: it takes a
    /// transaction.
    pub(super) fn is_wide(&self) -> bool {
        let Transition { records, locks, sole_owner, .. } = &self.transition;
        *sole_owner
            || !locks.is_empty()
            || !records.iter().all(|record| matches!(record, RecordChange::Close { .. }))
    }

    /// The steps whose rows it closes, if they have any.
    pub(super) fn closing(&self) -> impl Iterator<Item = i32> {
        self.transition.records.iter().filter_map(|record| match record {
            RecordChange::Close { step, .. } => Some(index(*step)),
            _ => None,
        })
    }
}

/// Adds to many runs, to each of them once; says what became of each.
pub(super) async fn append(
    connection: &mut Connection,
    all: &[Arc<Appending>],
) -> Result<Vec<End>, Trouble> {
    if let [one] = all
        && let Some(end) = single::append(connection, one).await?
    {
        return Ok(vec![End::Appended(end)]);
    }
    let ends = append_many(connection, all, true).await?;
    let end = |one: &Arc<Appending>| match ends.get(&one.id) {
        Some(true) => End::Appended(Appended::Applied),
        Some(false) => End::Wide,
        None => End::Appended(Appended::Refused),
    };
    Ok(all.iter().map(end).collect())
}

/// To which it was added, and which were left alone as they close something.
type Ends = HashMap<SagaId, bool>;

fn ends(rows: &[tokio_postgres::Row]) -> Result<Ends, Trouble> {
    rows.iter().map(|row| Ok((saga_id(row, 0)?, row.try_get(1)?))).collect()
}

/// `looking`: whether what they close is looked at first.
async fn append_many(
    connection: &mut Connection,
    all: &[Arc<Appending>],
    looking: bool,
) -> Result<Ends, Trouble> {
    let (mut heads, mut rows) = (Heads::default(), Rows::default());
    let mut claims: Vec<Option<Uuid>> = Vec::with_capacity(all.len());
    let (mut releases, mut orphans) = (Vec::new(), Vec::new());
    let (mut fences, mut lens) = (Vec::new(), Vec::new());
    let mut closing: (Vec<Uuid>, Vec<i32>) = Default::default();
    for one in all {
        let Appending { id, claim, transition } = &**one;
        heads.add(*id, &transition.head);
        rows.add(*id, &transition.rows);
        claims.push(claim.as_ref().map(|claim| claim_uuid(claim.id)));
        fences.push(claim.as_ref().map_or(0, |claim| signed(claim.fence)));
        releases.push(transition.release);
        orphans.push(transition.orphan);
        lens.push(signed(transition.expected_len));
        for step in one.closing().filter(|_| looking) {
            closing.0.push(uuid(*id));
            closing.1.push(step);
        }
    }
    let guards = [
        (&releases as _, Type::BOOL_ARRAY),
        (&orphans as _, Type::BOOL_ARRAY),
        (&claims as _, Type::UUID_ARRAY),
        (&fences as _, Type::INT8_ARRAY),
        (&lens as _, Type::INT8_ARRAY),
    ];
    let closing = [(&closing.0 as _, Type::UUID_ARRAY), (&closing.1 as _, Type::INT4_ARRAY)];
    let rows = guards.into_iter().chain(rows.values()).chain(closing);
    let values: Vec<Value<'_>> = heads.values().into_iter().chain(rows).collect();
    ends(&connection.query(include_str!("append.sql"), &values).await?)
}

/// Adds to one run, and changes what it has provisioned, in a transaction.
pub(super) async fn append_wide(
    connection: &mut Connection,
    appending: &Arc<Appending>,
) -> Result<Appended, Trouble> {
    let Appending { id, transition, .. } = &**appending;
    if transition.sole_owner {
        records::hold(connection, *id).await?;
        let owners = records::owners(connection, *id).await?;
        if owners.iter().any(|row| row.forbids_rollback(*id)) {
            return Ok(Appended::Refused);
        }
    }
    if !locks::fits(connection, *id, &transition.locks).await?
        || !records::take(connection, &transition.records).await?
        || append_many(connection, std::slice::from_ref(appending), false).await?.is_empty()
    {
        return Ok(Appended::Refused);
    }
    records::change(connection, *id, &transition.records).await?;
    locks::change(connection, *id, &transition.locks).await?;
    Ok(Appended::Applied)
}
