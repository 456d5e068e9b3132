//! What runs have provisioned, and what the provider says exists.

use rusqlite::{Connection, Row as SqlRow, params};

use crate::desired::{
    Change, Identity, Observed, Provision, Provisioned, RecordChange, Resource, Survey,
};
use crate::id::SagaId;
use crate::json::Json;
use crate::store::sqlite::codec::{execute, moment, prepare, saga_id, signed};
use crate::time::Timestamp;

/// Whether every row that is to be swapped is as the change says it is before.
pub(super) fn take(connection: &Connection, changes: &[RecordChange]) -> rusqlite::Result<bool> {
    for change in changes.iter().filter_map(RecordChange::swap) {
        let sql = "SELECT count(*) FROM cloud_provisioned WHERE saga_id = ?1 AND step_idx = ?2 \
                   AND spec_version = ?3 AND changed_by IS ?4 AND spec = ?5 AND closed_at IS NULL";
        let Change { saga_id, step_idx, spec_version, changed_by, before, .. } = change;
        let (of, by) = (saga_id.to_string(), changed_by.map(|id| id.to_string()));
        let row = params![of, step_idx, signed(*spec_version), by, before.as_str()];
        let found: i64 = prepare(connection, sql)?.query_row(row, |row| row.get(0))?;
        if found == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens, changes and closes rows of `cloud_provisioned`, in the commit of the step (rule S19).
pub(super) fn change(
    connection: &Connection,
    saga: SagaId,
    changes: &[RecordChange],
) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            RecordChange::Open { step, what, at } => open(connection, saga, (*step, *at), what)?,
            RecordChange::Close { step, at } => {
                let sql = "UPDATE cloud_provisioned SET status = 'closed', updated_at = ?3, \
                           closed_at = ?3 WHERE saga_id = ?1 AND step_idx = ?2 \
                           AND closed_at IS NULL RETURNING resource_no";
                let row = params![saga.to_string(), step, at.as_micros()];
                close(connection, sql, row, *at)?;
            }
            RecordChange::Swap { change, at } => swap(connection, saga, change, *at)?,
            RecordChange::Restore { change, at } => restore(connection, saga, change, *at)?,
        }
    }
    Ok(())
}

fn open(
    connection: &Connection,
    saga: SagaId,
    (step, at): (usize, Timestamp),
    what: &Provision,
) -> rusqlite::Result<()> {
    let resource = appear(connection, &what.provider, &what.identity(), at)?;
    let sql = "INSERT INTO cloud_provisioned (resource_no, saga_id, step_idx, spec, \
               spec_version, status, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, 1, 'live', ?5, ?5)";
    let (saga, spec) = (saga.to_string(), what.spec.as_str());
    execute(connection, sql, params![resource, saga, step, spec, at.as_micros()])?;
    Ok(())
}

/// Something was made, or adopted: its number among the things.
fn appear(
    connection: &Connection,
    provider: &str,
    which: &Identity,
    at: Timestamp,
) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO cloud_resources (provider, kind, external_id, name, region, \
               first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) \
               ON CONFLICT (provider, kind, external_id) DO UPDATE SET \
               last_seen = excluded.last_seen, missing_since = NULL, gone_at = NULL \
               RETURNING resource_no";
    let Identity { kind, external_id, name, region } = which;
    let row = params![provider, kind, external_id, name, region, at.as_micros()];
    prepare(connection, sql)?.query_row(row, |row| row.get(0))
}

/// Closes the rows that `sql` closes; what nobody wants any more is gone.
fn close(
    connection: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
    at: Timestamp,
) -> rusqlite::Result<()> {
    for resource in numbers(connection, sql, with)? {
        leave(connection, resource, at)?;
    }
    Ok(())
}

/// The numbers that `sql` answers.
fn numbers(
    connection: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
) -> rusqlite::Result<Vec<i64>> {
    prepare(connection, sql)?.query_map(with, |row| row.get(0))?.collect()
}

/// A thing is gone, unless somebody else wants it.
fn leave(connection: &Connection, resource: i64, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE cloud_resources SET gone_at = ?2 WHERE resource_no = ?1 AND NOT EXISTS \
               (SELECT 1 FROM cloud_provisioned WHERE resource_no = ?1 AND closed_at IS NULL)";
    execute(connection, sql, params![resource, at.as_micros()]).map(drop)
}

/// A row is another thing of the same provider.
fn replace(
    connection: &Connection,
    number: i64,
    with: &Identity,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "SELECT resource_no, provider FROM cloud_provisioned \
               JOIN cloud_resources USING (resource_no) WHERE provisioned_no = ?1";
    let (was, provider): (i64, String) =
        prepare(connection, sql)?.query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is = appear(connection, &provider, with, at)?;
    let sql = "UPDATE cloud_provisioned SET resource_no = ?2 WHERE provisioned_no = ?1";
    execute(connection, sql, params![number, is])?;
    leave(connection, was, at)
}

/// Makes a change of `saga`, of a row that takes it.
fn swap(
    connection: &Connection,
    saga: SagaId,
    change: &Change,
    at: Timestamp,
) -> rusqlite::Result<()> {
    // Its version was compared before, in the same commit.
    let Change { saga_id, step_idx, after, .. } = change;
    let (of, by) = (saga_id.to_string(), saga.to_string());
    if let Some(spec) = after {
        let sql = "UPDATE cloud_provisioned SET spec = ?3, spec_version = spec_version + 1, \
                   updated_at = ?4, changed_by = ?5 WHERE saga_id = ?1 AND step_idx = ?2 \
                   AND closed_at IS NULL RETURNING provisioned_no";
        let row = params![of, step_idx, spec.as_str(), at.as_micros(), by];
        for changed in numbers(connection, sql, row)? {
            if let Some(replaced) = &change.replaced {
                replace(connection, changed, &replaced.to, at)?;
            }
        }
        return Ok(());
    }
    let sql = "UPDATE cloud_provisioned SET status = 'closed', updated_at = ?4, closed_at = ?4, \
               spec_version = spec_version + 1, changed_by = ?3 WHERE saga_id = ?1 \
               AND step_idx = ?2 AND closed_at IS NULL RETURNING resource_no";
    close(connection, sql, params![of, step_idx, by, at.as_micros()], at)
}

/// Takes a change of `saga` back, unless somebody has changed the row since.
fn restore(
    connection: &Connection,
    saga: SagaId,
    change: &Change,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE cloud_provisioned SET spec = ?4, spec_version = ?3, changed_by = ?7, \
               status = 'live', closed_at = NULL, updated_at = ?5 WHERE saga_id = ?1 \
               AND step_idx = ?2 AND spec_version = ?3 + 1 AND changed_by = ?6 \
               RETURNING provisioned_no";
    let Change { saga_id, step_idx, spec_version, changed_by, before, .. } = change;
    let (of, by, before_that) =
        (saga_id.to_string(), saga.to_string(), changed_by.map(|id| id.to_string()));
    let version = signed(*spec_version);
    let row = params![of, step_idx, version, before.as_str(), at.as_micros(), by, before_that];
    for restored in numbers(connection, sql, row)? {
        let sql = "UPDATE cloud_resources SET gone_at = NULL WHERE resource_no = \
                   (SELECT resource_no FROM cloud_provisioned WHERE provisioned_no = ?1)";
        execute(connection, sql, [restored])?;
        if let Some(replaced) = &change.replaced {
            replace(connection, restored, &replaced.from, at)?;
        }
    }
    Ok(())
}

const PROVISIONED: &str = "SELECT p.saga_id, p.step_idx, r.provider, r.kind, r.external_id, r.name, \
    r.region, p.spec, p.spec_version, p.created_at, p.closed_at, p.changed_by FROM cloud_provisioned p \
    JOIN cloud_resources r USING (resource_no)";

pub(super) fn provisioned(
    connection: &Connection,
    saga: Option<SagaId>,
) -> rusqlite::Result<Vec<Provisioned>> {
    // Not by a condition that may be void: no index could be used for one saga then.
    let of = saga.map_or("", |_| "WHERE p.saga_id = ?1");
    let mut rows = prepare(connection, &format!("{PROVISIONED} {of} ORDER BY p.provisioned_no"))?;
    let saga = saga.map(|id| id.to_string());
    rows.query_map(rusqlite::params_from_iter(saga), provisioned_row)?.collect()
}

/// Every run's open rows for what `saga` has a row open for.
pub(super) fn owners(connection: &Connection, saga: SagaId) -> rusqlite::Result<Vec<Provisioned>> {
    let sql = format!(
        "{PROVISIONED} WHERE p.closed_at IS NULL AND p.resource_no IN (SELECT resource_no \
         FROM cloud_provisioned WHERE saga_id = ?1 AND closed_at IS NULL) ORDER BY p.provisioned_no"
    );
    let mut rows = prepare(connection, &sql)?;
    rows.query_map([saga.to_string()], provisioned_row)?.collect()
}

fn provisioned_row(row: &SqlRow<'_>) -> rusqlite::Result<Provisioned> {
    let spec: String = row.get(7)?;
    Ok(Provisioned {
        saga_id: saga_id(row, 0)?,
        step_idx: row.get(1)?,
        what: Provision {
            provider: row.get(2)?,
            kind: row.get(3)?,
            external_id: row.get(4)?,
            name: row.get(5)?,
            region: row.get(6)?,
            spec: Json::parse(spec).unwrap_or_else(|_| Json::empty_object()),
        },
        spec_version: row.get::<_, i64>(8)?.cast_unsigned(),
        created_at: moment(row, 9)?.unwrap_or_default(),
        closed_at: moment(row, 10)?,
        changed_by: row.get::<_, Option<String>>(11)?.and_then(|id| id.parse().ok()),
    })
}

const SEEN: &str = "INSERT INTO cloud_resources (provider, kind, external_id, name, region, tags, \
    observed_state, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) \
    ON CONFLICT (provider, kind, external_id) DO UPDATE SET name = excluded.name, \
    region = excluded.region, tags = excluded.tags, observed_state = excluded.observed_state, \
    last_seen = excluded.last_seen, missing_since = NULL, gone_at = NULL";

/// Takes in what a provider says exists. What was there before the survey began and is not in it is
/// missing; what was missing already is gone.
pub(super) fn observe(connection: &Connection, survey: &Survey) -> rusqlite::Result<Observed> {
    let (begun, at) = (survey.begun_at.as_micros(), survey.at.as_micros());
    let count = || {
        let count = prepare(connection, "SELECT count(*) FROM cloud_resources");
        count?.query_row([], |row| row.get::<_, i64>(0))
    };
    let known = count()?;
    for seen in &survey.found {
        let tags = Json::of(&seen.tags).unwrap_or_else(|_| Json::empty_object());
        let (provider, state) = (&survey.provider, seen.state.as_str());
        let row = params![
            provider,
            seen.kind,
            seen.external_id,
            seen.name,
            seen.region,
            tags.as_str(),
            state,
            at
        ];
        execute(connection, SEEN, row)?;
    }
    let new = usize::try_from(count()? - known).unwrap_or_default();
    let kinds = Json::of(&survey.kinds).unwrap_or_else(|_| Json::empty_object());
    let rest = "provider = ?1 AND kind IN (SELECT value FROM json_each(?2)) \
                AND last_seen < ?3 AND gone_at IS NULL";
    let gone = format!(
        "UPDATE cloud_resources SET gone_at = ?4 WHERE {rest} AND missing_since IS NOT NULL"
    );
    let row = params![survey.provider, kinds.as_str(), begun, at];
    let gone = execute(connection, &gone, row)?;
    let missing = format!("UPDATE cloud_resources SET missing_since = ?4 WHERE {rest}");
    let row = params![survey.provider, kinds.as_str(), begun, at];
    let missing = execute(connection, &missing, row)?;
    Ok(Observed { seen: survey.found.len(), new, missing, gone })
}

/// Everything that was ever seen.
pub(super) fn resources(connection: &Connection) -> rusqlite::Result<Vec<Resource>> {
    let sql = "SELECT r.provider, r.kind, r.external_id, r.name, r.region, r.tags, \
        r.observed_state, r.first_seen, r.last_seen, r.missing_since, r.gone_at, \
        (SELECT p.saga_id FROM cloud_provisioned p WHERE p.resource_no = r.resource_no \
         AND p.closed_at IS NULL ORDER BY p.provisioned_no LIMIT 1), \
        (SELECT p.saga_id FROM cloud_provisioned p WHERE p.resource_no = r.resource_no \
         ORDER BY p.provisioned_no DESC LIMIT 1) \
        FROM cloud_resources r ORDER BY r.provider, r.kind, r.external_id";
    let mut rows = prepare(connection, sql)?;
    rows.query_map([], |row| {
        let text = |column: usize| row.get::<_, Option<String>>(column);
        Ok(Resource {
            provider: row.get(0)?,
            kind: row.get(1)?,
            external_id: row.get(2)?,
            name: text(3)?,
            region: text(4)?,
            tags: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
            state: text(6)?.and_then(|state| Json::parse(state).ok()),
            first_seen: moment(row, 7)?.unwrap_or_default(),
            last_seen: moment(row, 8)?.unwrap_or_default(),
            missing_since: moment(row, 9)?,
            gone_at: moment(row, 10)?,
            wanted_by: text(11)?.and_then(|id| id.parse().ok()),
            made_by: text(12)?.and_then(|id| id.parse().ok()),
        })
    })?
    .collect()
}
