//! Statements that change a single run, with values where those of `write` have lists.

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::id::SagaId;
use crate::ledger::Row;
use crate::store::postgres::codec::{claim_uuid, damaged, index, micros, signed, uuid};
use crate::store::postgres::connect::{Connection, Trouble, Value};
use crate::store::postgres::write::{Accepting, Appending, Entry};
use crate::store::{Appended, Head, Party};

/// The run's id and head, and at most two rows: what both statements begin with.
struct Written<'a> {
    id: Uuid,
    status: &'static str,
    current: i32,
    steps: &'a str,
    cancel_requested: bool,
    error: Option<&'a str>,
    parked: Option<&'a str>,
    attention: bool,
    started: Option<i64>,
    finished: Option<i64>,
    len: i64,
    hash: &'a [u8],
    wake: Option<i64>,
    call: Option<i64>,
    rows: [WrittenRow<'a>; 2],
}

/// A row, or none.
#[derive(Default)]
struct WrittenRow<'a> {
    seq: Option<i64>,
    kind: Option<&'a str>,
    step: Option<i32>,
    attempt: Option<i32>,
    actor: Option<&'a str>,
    claim: Option<Uuid>,
    fence: Option<i64>,
    at: Option<i64>,
    payload: Option<&'a str>,
    previous: Option<&'a [u8]>,
}

impl<'a> Written<'a> {
    /// Nothing, if there are more rows.
    fn new(id: SagaId, head: &'a Head, rows: &'a [Row]) -> Option<Self> {
        let rows = match rows {
            [] => Default::default(),
            [one] => [WrittenRow::new(one), WrittenRow::default()],
            [first, second] => [WrittenRow::new(first), WrittenRow::new(second)],
            _ => return None,
        };
        Some(Self {
            id: uuid(id),
            status: head.status.name(),
            current: index(head.current_step),
            steps: &head.steps,
            cancel_requested: head.cancel_requested,
            error: head.error.as_deref(),
            parked: head.parked.as_deref(),
            attention: head.attention,
            started: micros(head.started_at),
            finished: micros(head.finished_at),
            len: signed(head.len),
            hash: &head.hash.0,
            wake: micros(head.wake_at),
            call: micros(head.call_at),
            rows,
        })
    }

    /// `$1` to `$34` of the statements.
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let head: [Value<'_>; 14] = [
            (&self.id, Type::UUID),
            (&self.status, Type::TEXT),
            (&self.current, Type::INT4),
            (&self.steps, Type::TEXT),
            (&self.cancel_requested, Type::BOOL),
            (&self.error, Type::TEXT),
            (&self.parked, Type::TEXT),
            (&self.attention, Type::BOOL),
            (&self.started, Type::INT8),
            (&self.finished, Type::INT8),
            (&self.len, Type::INT8),
            (&self.hash, Type::BYTEA),
            (&self.wake, Type::INT8),
            (&self.call, Type::INT8),
        ];
        head.into_iter().chain(self.rows.iter().flat_map(WrittenRow::values))
    }
}

impl<'a> WrittenRow<'a> {
    fn new(row: &'a Row) -> Self {
        Self {
            seq: Some(signed(row.seq)),
            kind: Some(&row.kind),
            step: row.step_idx.map(index),
            attempt: row.attempt.map(|attempt| attempt.try_into().unwrap_or(i32::MAX)),
            actor: row.actor.as_deref(),
            claim: Some(claim_uuid(row.claim)),
            fence: Some(signed(row.fence)),
            at: Some(row.at.as_micros()),
            payload: Some(&row.payload),
            previous: Some(&row.previous.0),
        }
    }

    fn values(&self) -> [Value<'_>; 10] {
        [
            (&self.seq, Type::INT8),
            (&self.kind, Type::TEXT),
            (&self.step, Type::INT4),
            (&self.attempt, Type::INT4),
            (&self.actor, Type::TEXT),
            (&self.claim, Type::UUID),
            (&self.fence, Type::INT8),
            (&self.at, Type::INT8),
            (&self.payload, Type::TEXT),
            (&self.previous, Type::BYTEA),
        ]
    }
}

/// Adds to a run, and says what became of it; nothing is said, and nothing done, if it takes lists.
pub(super) async fn append(
    connection: &mut Connection,
    one: &Appending,
) -> Result<Option<Appended>, Trouble> {
    let Appending { id, claim, transition } = one;
    let written = Written::new(*id, &transition.head, &transition.rows);
    let Some(written) = written.filter(|_| one.closing().next().is_none()) else { return Ok(None) };
    let claim_id = claim.as_ref().map(|claim| claim_uuid(claim.id));
    let fence = claim.as_ref().map_or(0, |claim| signed(claim.fence));
    let expected_len = signed(transition.expected_len);
    let guards: [Value<'_>; 5] = [
        (&transition.release, Type::BOOL),
        (&transition.orphan, Type::BOOL),
        (&claim_id, Type::UUID),
        (&fence, Type::INT8),
        (&expected_len, Type::INT8),
    ];
    let values: Vec<Value<'_>> = written.values().chain(guards).collect();
    let applied = connection.query(include_str!("append_one.sql"), &values).await?;
    Ok(Some(if applied.is_empty() { Appended::Refused } else { Appended::Applied }))
}

/// Accepts a run, or says why not; nothing is said, and nothing done, if it takes lists.
pub(super) async fn start(
    connection: &mut Connection,
    one: &Accepting,
) -> Result<Option<Entry>, Trouble> {
    let Accepting { run, claim } = one;
    let spec = &run.spec;
    let written = Written::new(spec.id, &run.head, &run.rows);
    let Some(written) = written.filter(|_| spec.labels.is_empty()) else { return Ok(None) };
    let (deadline, created_at) = (micros(spec.deadline), spec.created_at.as_micros());
    let party = Party::of(spec).0;
    let worker = claim.map(|(worker, _)| signed(worker.0));
    let claim_id = claim.map(|(_, claim)| claim_uuid(claim));
    let (inputs, key) = (spec.inputs.as_str(), spec.key.as_deref());
    let values: [Value<'_>; 12] = [
        (&&*spec.kind, Type::TEXT),
        (&&*spec.steps, Type::TEXT),
        (&inputs, Type::TEXT),
        (&key, Type::TEXT),
        (&&*spec.queue, Type::TEXT),
        (&spec.priority, Type::INT4),
        (&deadline, Type::INT8),
        (&created_at, Type::INT8),
        (&run.needs.0, Type::INT8),
        (&party, Type::INT8),
        (&worker, Type::INT8),
        (&claim_id, Type::UUID),
    ];
    let values: Vec<Value<'_>> = written.values().chain(values).collect();
    let found = connection.query(include_str!("start_one.sql"), &values).await?;
    let row = found.first().ok_or_else(|| damaged("no verdict on a start"))?;
    Ok(Some(Entry::new(row.try_get(0)?, row.try_get(1)?)))
}
