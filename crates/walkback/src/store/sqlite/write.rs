//! Statements that change a run: each carries its guard (promise I7).

use rusqlite::{Connection, OptionalExtension, named_params, params};

use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::store::sqlite::codec::{SPEC, execute, micros, prepare, signed, spec};
use crate::store::sqlite::{locks, records};
use crate::store::{Appended, Claim, Head, NewRun, Party, Started, Transition, WorkerId};

/// Accepts a run, unless its key is known or its owner does not work here.
pub(super) fn start(
    connection: &Connection,
    run: &NewRun,
    claim: Option<(WorkerId, ClaimId)>,
    works: bool,
) -> rusqlite::Result<Started> {
    let spec = &run.spec;
    if let Some(key) = &spec.key {
        let known = format!("SELECT {SPEC} FROM run_specs s WHERE s.idempotency_key = ?1");
        let known = prepare(connection, &known)?.query_row([key], self::spec).optional()?;
        if let Some(known) = known {
            return Ok(Started::Exists(Box::new(known)));
        }
    }
    if !works {
        return Ok(Started::NotEnlisted);
    }
    let labels = serde_json::to_string(&spec.labels).unwrap_or_default();
    let id = spec.id.to_string();
    execute(
        connection,
        "INSERT INTO run_specs (id, kind, step_modules, inputs, idempotency_key, labels, queue, \
         priority, deadline, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            id,
            spec.kind,
            spec.steps,
            spec.inputs.as_str(),
            spec.key,
            labels,
            spec.queue,
            spec.priority,
            micros(spec.deadline),
            spec.created_at.as_micros()
        ],
    )?;
    let run_no = connection.last_insert_rowid();
    for (name, value) in &spec.labels {
        let sql = "INSERT INTO run_labels (name, value, run_no) VALUES (?1, ?2, ?3)";
        execute(connection, sql, params![name, value, run_no])?;
    }
    insert_head(connection, run_no, run, claim)?;
    insert_rows(connection, run_no, &run.rows)?;
    Ok(Started::Created(claim.map(|(_, claim)| Claim::new(spec.id, claim, 1, run_no))))
}

fn insert_head(
    connection: &Connection,
    run_no: i64,
    run: &NewRun,
    claim: Option<(WorkerId, ClaimId)>,
) -> rusqlite::Result<()> {
    let head = &run.head;
    let wake_at = micros(head.wake_at);
    let owner = claim.map(|(worker, _)| signed(worker.0));
    execute(
        connection,
        "INSERT INTO run_heads (run_no, status, current_step_idx, steps, cancel_requested, error, \
         parked, attention, started_at, finished_at, ledger_len, ledger_head, wake_at, due_at, queue, \
         priority, claim_id, fence, owner, call_at, needs, party, orphaned, nudged) VALUES (?1, ?2, ?3, ?4, ?5, \
         ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, 0, 0)",
        params![
            run_no,
            head.status.name(),
            head.current_step,
            head.steps,
            head.cancel_requested,
            head.error,
            head.parked,
            head.attention,
            micros(head.started_at),
            micros(head.finished_at),
            signed(head.len),
            head.hash.0,
            wake_at,
            wake_at.filter(|_| owner.is_none()),
            run.spec.queue,
            run.spec.priority,
            claim.map(|(_, id)| *id.as_bytes()),
            i64::from(claim.is_some()),
            owner,
            micros(head.call_at),
            run.needs.0,
            Party::of(&run.spec).0
        ],
    )?;
    Ok(())
}

fn insert_rows(connection: &Connection, run_no: i64, rows: &[Row]) -> rusqlite::Result<()> {
    let mut insert = prepare(
        connection,
        "INSERT INTO ledger_rows (run_no, seq, kind, step_idx, attempt, actor, claim_id, fence, at, \
         payload, previous) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for row in rows {
        insert.execute(params![
            run_no,
            signed(row.seq),
            row.kind,
            row.step_idx,
            row.attempt,
            row.actor,
            row.claim.as_bytes(),
            signed(row.fence),
            row.at.as_micros(),
            row.payload,
            row.previous.0
        ])?;
    }
    Ok(())
}

/// Adds to a run under a claim: nothing, if the claim or the length no longer holds.
pub(super) fn append(
    connection: &Connection,
    claim: &Claim,
    transition: &Transition,
) -> rusqlite::Result<Appended> {
    if !records::take(connection, &transition.records)?
        || !locks::fits(connection, claim.place, &transition.locks)?
    {
        return Ok(Appended::Refused);
    }
    let Transition { expected_len, head, release, orphan, .. } = transition;
    let changed = prepare(
 connection,
            "UPDATE run_heads SET status = :status, current_step_idx = :current, steps = :steps, \
             cancel_requested = :cancel, error = :error, parked = :parked, attention = :attention, \
             started_at = :started, finished_at = :finished, ledger_len = :len, ledger_head = :hash, \
             wake_at = :wake, call_at = :call, orphaned = :orphan, \
             due_at = CASE WHEN NOT :release THEN NULL \
             WHEN :orphan OR nudged AND :wake IS NOT NULL THEN 0 ELSE :wake END, \
             owner = CASE WHEN :release THEN NULL ELSE owner END, nudged = 0 \
             WHERE run_no = :run_no AND claim_id = :claim AND fence = :fence \
             AND owner IS NOT NULL AND ledger_len = :expected",
        )?
        .execute(named_params! {
            ":status": head.status.name(), ":current": head.current_step, ":steps": head.steps,
            ":cancel": head.cancel_requested, ":error": head.error, ":parked": head.parked,
            ":attention": head.attention, ":started": micros(head.started_at),
            ":finished": micros(head.finished_at), ":len": signed(head.len), ":hash": head.hash.0,
            ":wake": micros(head.wake_at), ":call": micros(head.call_at),
            ":release": release, ":orphan": orphan, ":run_no": claim.place,
            ":claim": claim.id.as_bytes(), ":fence": signed(claim.fence),
            ":expected": signed(*expected_len),
        })?;
    if changed == 0 {
        return Ok(Appended::Refused);
    }
    insert_rows(connection, claim.place, &transition.rows)?;
    locks::change(connection, claim.place, &transition.locks)?;
    records::change(connection, claim.saga, &transition.records)?;
    Ok(Appended::Applied)
}

/// Adds to a run without a claim: nothing, if the length no longer holds. Its owner is nudged.
pub(super) fn append_unclaimed(
    connection: &Connection,
    id: SagaId,
    transition: &Transition,
) -> rusqlite::Result<Appended> {
    if !records::take(connection, &transition.records)? {
        return Ok(Appended::Refused);
    }
    if transition.sole_owner
        && records::owners(connection, id)?.iter().any(|row| row.forbids_rollback(id))
    {
        return Ok(Appended::Refused);
    }
    if !transition.locks.is_empty() {
        let run_no = locks::run_no(connection, id)?;
        if !run_no.is_some_and(|no| locks::fits(connection, no, &transition.locks).unwrap_or(false))
        {
            return Ok(Appended::Refused);
        }
    }
    let Head { status, current_step, steps, cancel_requested, error, parked, .. } =
        &transition.head;
    let head = &transition.head;
    let run_no: Option<i64> = prepare(
 connection,
            "UPDATE run_heads SET status = :status, current_step_idx = :current, steps = :steps, \
             cancel_requested = :cancel, error = :error, parked = :parked, attention = :attention, \
             started_at = :started, finished_at = :finished, ledger_len = :len, ledger_head = :hash, \
             wake_at = :wake, call_at = :call, nudged = owner IS NOT NULL AND NOT :release, \
             due_at = CASE WHEN owner IS NOT NULL AND NOT :release THEN NULL \
             WHEN orphaned OR :orphan OR nudged AND :wake IS NOT NULL THEN 0 ELSE :wake END, orphaned = orphaned OR :orphan, \
             owner = CASE WHEN :release THEN NULL ELSE owner END \
             WHERE run_no = (SELECT run_no FROM run_specs WHERE id = :id) \
             AND ledger_len = :expected RETURNING run_no",
        )?
        .query_row(
            named_params! {
                ":status": status.name(), ":current": current_step, ":steps": steps,
                ":cancel": cancel_requested, ":error": error, ":parked": parked,
                ":attention": head.attention, ":started": micros(head.started_at),
                ":finished": micros(head.finished_at), ":len": signed(head.len),
                ":hash": head.hash.0, ":wake": micros(head.wake_at), ":call": micros(head.call_at), ":id": id.to_string(),
                ":expected": signed(transition.expected_len), ":release": transition.release,
                ":orphan": transition.orphan,
            },
            |row| row.get(0),
        )
        .optional()?;
    let Some(run_no) = run_no else { return Ok(Appended::Refused) };
    insert_rows(connection, run_no, &transition.rows)?;
    locks::change(connection, run_no, &transition.locks)?;
    records::change(connection, id, &transition.records)?;
    Ok(Appended::Applied)
}
