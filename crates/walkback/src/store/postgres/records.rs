//! What runs have provisioned, and what the provider says exists. Everything that changes it happens
//! in a transaction, which locks the row of a thing before it looks who wants it.

use std::borrow::Cow;

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::desired::{
    Change, Identity, Observed, Provision, Provisioned, RecordChange, Resource, Survey,
};
use crate::id::SagaId;
use crate::json::Json;
use crate::store::postgres::codec::{
    EACH_ID, damaged, index, moment, saga_id, signed, step_idx, unsigned, uuid,
};
use crate::store::postgres::connect::{Connection, Trouble, Value};
use crate::time::Timestamp;

/// Whether every row that is to be swapped is as the change says it is before; it stays so until
/// the transaction ends.
pub(super) async fn take(
    connection: &mut Connection,
    changes: &[RecordChange],
) -> Result<bool, Trouble> {
    for change in changes.iter().filter_map(RecordChange::swap) {
        let sql = "SELECT FROM cloud_provisioned WHERE saga_id = $1 AND step_idx = $2 \
                   AND spec_version = $3 AND changed_by IS NOT DISTINCT FROM $4 AND spec = $5 \
                   AND closed_at IS NULL FOR UPDATE";
        let Change { saga_id, step_idx, spec_version, changed_by, before, .. } = change;
        let row = [
            (&uuid(*saga_id) as _, Type::UUID),
            (&index(*step_idx) as _, Type::INT4),
            (&signed(*spec_version) as _, Type::INT8),
            (&changed_by.map(uuid) as _, Type::UUID),
            (&before.as_str() as _, Type::TEXT),
        ];
        if connection.query(sql, &row).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens, changes and closes rows of `cloud_provisioned`, in the commit of the step (rule S19).
pub(super) async fn change(
    connection: &mut Connection,
    saga: SagaId,
    changes: &[RecordChange],
) -> Result<(), Trouble> {
    for change in changes {
        match change {
            RecordChange::Open { step, what, at } => {
                open(connection, saga, (*step, *at), what).await?;
            }
            RecordChange::Close { step, at } => {
                let sql = "UPDATE cloud_provisioned SET status = 'closed', updated_at = $3, \
                           closed_at = $3 WHERE saga_id = $1 AND step_idx = $2 \
                           AND closed_at IS NULL RETURNING resource_no";
                let row = [
                    (&uuid(saga) as _, Type::UUID),
                    (&index(*step) as _, Type::INT4),
                    (&at.as_micros() as _, Type::INT8),
                ];
                close(connection, sql, &row, *at).await?;
            }
            RecordChange::Swap { change, at } => swap(connection, saga, change, *at).await?,
            RecordChange::Restore { change, at } => restore(connection, saga, change, *at).await?,
        }
    }
    Ok(())
}

/// A provider's text as PostgreSQL takes it: without NUL, which it cannot hold.
fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

async fn open(
    connection: &mut Connection,
    saga: SagaId,
    (step, at): (usize, Timestamp),
    what: &Provision,
) -> Result<(), Trouble> {
    let resource = appear(connection, &what.provider, &what.identity(), at).await?;
    let sql = "INSERT INTO cloud_provisioned (resource_no, saga_id, step_idx, spec, spec_version, \
               status, created_at, updated_at) VALUES ($1, $2, $3, $4, 1, 'live', $5, $5)";
    let row = [
        (&resource as _, Type::INT8),
        (&uuid(saga) as _, Type::UUID),
        (&index(step) as _, Type::INT4),
        (&what.spec.as_str() as _, Type::TEXT),
        (&at.as_micros() as _, Type::INT8),
    ];
    connection.query(sql, &row).await?;
    Ok(())
}

/// Something was made, or adopted: its number among the things.
async fn appear(
    connection: &mut Connection,
    provider: &str,
    which: &Identity,
    at: Timestamp,
) -> Result<i64, Trouble> {
    let sql = "INSERT INTO cloud_resources (provider, kind, external_id, name, region, \
               first_seen, last_seen) VALUES ($1, $2, $3, $4, $5, $6, $6) \
               ON CONFLICT (provider, kind, external_id) DO UPDATE SET \
               last_seen = excluded.last_seen, missing_since = NULL, gone_at = NULL \
               RETURNING resource_no";
    let row = [
        (&provider as _, Type::TEXT),
        (&which.kind as _, Type::TEXT),
        (&clean(&which.external_id) as _, Type::TEXT),
        (&which.name.as_deref().map(clean) as _, Type::TEXT),
        (&which.region.as_deref().map(clean) as _, Type::TEXT),
        (&at.as_micros() as _, Type::INT8),
    ];
    let row = connection.query(sql, &row).await?.pop().ok_or_else(|| damaged("no number"))?;
    Ok(row.try_get(0)?)
}

/// Closes the rows that `sql` closes; what nobody wants any more is gone.
async fn close(
    connection: &mut Connection,
    sql: &str,
    with: &[Value<'_>],
    at: Timestamp,
) -> Result<(), Trouble> {
    let closed = connection.query(sql, with).await?;
    let closed = closed.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    leave(connection, &closed, at).await
}

/// These things are gone, but for those that somebody else wants.
async fn leave(
    connection: &mut Connection,
    resources: &[i64],
    at: Timestamp,
) -> Result<(), Trouble> {
    // Whoever opens or closes another row for the same thing waits here until we are done.
    let sql = "SELECT FROM cloud_resources WHERE resource_no = ANY ($1) ORDER BY resource_no \
               FOR UPDATE";
    connection.query(sql, &[(&resources, Type::INT8_ARRAY)]).await?;
    let sql = "UPDATE cloud_resources r SET gone_at = $2 WHERE resource_no = ANY ($1) AND NOT EXISTS \
               (SELECT FROM cloud_provisioned p WHERE p.resource_no = r.resource_no \
                AND p.closed_at IS NULL)";
    let row = [(&resources as _, Type::INT8_ARRAY), (&at.as_micros() as _, Type::INT8)];
    connection.query(sql, &row).await?;
    Ok(())
}

/// These rows are another thing of the same provider, if they are said to be.
async fn replace_all(
    connection: &mut Connection,
    rows: &[SqlRow],
    with: Option<&Identity>,
    at: Timestamp,
) -> Result<(), Trouble> {
    for row in rows {
        if let Some(with) = with {
            replace(connection, row.try_get(0)?, with, at).await?;
        }
    }
    Ok(())
}

/// A row is another thing of the same provider.
async fn replace(
    connection: &mut Connection,
    number: i64,
    with: &Identity,
    at: Timestamp,
) -> Result<(), Trouble> {
    let sql = "SELECT resource_no, provider FROM cloud_provisioned \
               JOIN cloud_resources USING (resource_no) WHERE provisioned_no = $1";
    let found = connection.query(sql, &[(&number, Type::INT8)]).await?.pop();
    let found = found.ok_or_else(|| damaged("a row without a thing"))?;
    let (was, provider): (i64, String) = (found.try_get(0)?, found.try_get(1)?);
    let is = appear(connection, &provider, with, at).await?;
    let sql = "UPDATE cloud_provisioned SET resource_no = $2 WHERE provisioned_no = $1";
    connection.query(sql, &[(&number, Type::INT8), (&is, Type::INT8)]).await?;
    leave(connection, &[was], at).await
}

/// Makes a change of `saga`, of a row that takes it.
async fn swap(
    connection: &mut Connection,
    saga: SagaId,
    change: &Change,
    at: Timestamp,
) -> Result<(), Trouble> {
    // Its version was compared before, in the same commit.
    let Change { saga_id, step_idx, after, .. } = change;
    let (of, step, by) = (uuid(*saga_id), index(*step_idx), uuid(saga));
    let moment = at.as_micros();
    let mut row = vec![
        (&of as _, Type::UUID),
        (&step as _, Type::INT4),
        (&by as _, Type::UUID),
        (&moment as _, Type::INT8),
    ];
    let Some(spec) = after.as_ref().map(Json::as_str) else {
        let sql = "UPDATE cloud_provisioned SET status = 'closed', updated_at = $4, closed_at = $4, \
                   spec_version = spec_version + 1, changed_by = $3 WHERE saga_id = $1 \
                   AND step_idx = $2 AND closed_at IS NULL RETURNING resource_no";
        return close(connection, sql, &row, at).await;
    };
    row.push((&spec, Type::TEXT));
    let sql = "UPDATE cloud_provisioned SET spec = $5, spec_version = spec_version + 1, \
               updated_at = $4, changed_by = $3 WHERE saga_id = $1 AND step_idx = $2 \
               AND closed_at IS NULL RETURNING provisioned_no";
    let changed = connection.query(sql, &row).await?;
    replace_all(connection, &changed, change.replaced.as_ref().map(|one| &one.to), at).await
}

/// Takes a change of `saga` back, unless somebody has changed the row since.
async fn restore(
    connection: &mut Connection,
    saga: SagaId,
    change: &Change,
    at: Timestamp,
) -> Result<(), Trouble> {
    let sql = "WITH restored AS (UPDATE cloud_provisioned SET spec = $4, spec_version = $3, \
               changed_by = $7, status = 'live', closed_at = NULL, updated_at = $5 \
               WHERE saga_id = $1 AND step_idx = $2 AND spec_version = $3 + 1 AND changed_by = $6 \
               RETURNING provisioned_no, resource_no), \
               back AS (UPDATE cloud_resources SET gone_at = NULL \
               WHERE resource_no IN (SELECT resource_no FROM restored)) \
               SELECT provisioned_no FROM restored";
    let Change { saga_id, step_idx, spec_version, changed_by, before, .. } = change;
    let row = [
        (&uuid(*saga_id) as _, Type::UUID),
        (&index(*step_idx) as _, Type::INT4),
        (&signed(*spec_version) as _, Type::INT8),
        (&before.as_str() as _, Type::TEXT),
        (&at.as_micros() as _, Type::INT8),
        (&uuid(saga) as _, Type::UUID),
        (&changed_by.map(uuid) as _, Type::UUID),
    ];
    let restored = connection.query(sql, &row).await?;
    replace_all(connection, &restored, change.replaced.as_ref().map(|one| &one.from), at).await
}

const PROVISIONED: &str = "SELECT p.saga_id, p.step_idx, r.provider, r.kind, r.external_id, r.name, \
    r.region, p.spec, p.spec_version, p.created_at, p.closed_at, p.changed_by \
    FROM cloud_provisioned p JOIN cloud_resources r USING (resource_no)";

pub(super) async fn provisioned(
    connection: &mut Connection,
    saga: Option<SagaId>,
) -> Result<Vec<Provisioned>, Trouble> {
    let Some(saga) = saga else {
        let rows =
            connection.query(&format!("{PROVISIONED} ORDER BY p.provisioned_no"), &[]).await?;
        return rows.iter().map(provisioned_row).collect();
    };
    provisioned_by(connection, &[saga]).await
}

/// What each of these runs has provisioned, what is closed included.
pub(super) async fn provisioned_by(
    connection: &mut Connection,
    sagas: &[SagaId],
) -> Result<Vec<Provisioned>, Trouble> {
    let sql = format!("{PROVISIONED} WHERE p.saga_id = {EACH_ID} ORDER BY p.provisioned_no");
    let sagas: Vec<Uuid> = sagas.iter().copied().map(uuid).collect();
    let rows = connection.query(&sql, &[(&sagas, Type::UUID_ARRAY)]).await?;
    rows.iter().map(provisioned_row).collect()
}

/// Every run's open rows for what `saga` has a row open for.
pub(super) async fn owners(
    connection: &mut Connection,
    saga: SagaId,
) -> Result<Vec<Provisioned>, Trouble> {
    let sql = format!(
        "{PROVISIONED} WHERE p.closed_at IS NULL AND p.resource_no IN (SELECT resource_no \
         FROM cloud_provisioned WHERE saga_id = $1 AND closed_at IS NULL) ORDER BY p.provisioned_no"
    );
    let rows = connection.query(&sql, &[(&uuid(saga), Type::UUID)]).await?;
    rows.iter().map(provisioned_row).collect()
}

/// Keeps everybody from opening a row for what `saga` has a row open for, until the transaction ends.
pub(super) async fn hold(connection: &mut Connection, saga: SagaId) -> Result<(), Trouble> {
    let sql = "SELECT FROM cloud_resources WHERE resource_no IN (SELECT resource_no \
               FROM cloud_provisioned WHERE saga_id = $1 AND closed_at IS NULL) \
               ORDER BY resource_no FOR UPDATE";
    connection.query(sql, &[(&uuid(saga), Type::UUID)]).await?;
    Ok(())
}

fn provisioned_row(row: &SqlRow) -> Result<Provisioned, Trouble> {
    Ok(Provisioned {
        saga_id: saga_id(row, 0)?,
        step_idx: step_idx(row, 1)?,
        what: Provision {
            provider: row.try_get(2)?,
            kind: row.try_get(3)?,
            external_id: row.try_get(4)?,
            name: row.try_get(5)?,
            region: row.try_get(6)?,
            spec: Json::parse(row.try_get::<_, String>(7)?)
                .unwrap_or_else(|_| Json::empty_object()),
        },
        spec_version: unsigned(row, 8)?,
        created_at: moment(row, 9)?.unwrap_or_default(),
        closed_at: moment(row, 10)?,
        changed_by: by(row, 11)?,
    })
}

fn by(row: &SqlRow, column: usize) -> Result<Option<SagaId>, Trouble> {
    Ok(row.try_get::<_, Option<Uuid>>(column)?.map(|id| SagaId::from_bytes(id.into_bytes())))
}

/// What was seen, in one statement; answers how much of it is new.
const SEEN: &str = "WITH seen AS (SELECT DISTINCT ON (kind, external_id) * FROM unnest($2::text[], \
    $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY \
    AS seen (kind, external_id, name, region, tags, state, place) \
    ORDER BY kind, external_id, place DESC), \
    known AS (SELECT count(*) AS of FROM cloud_resources r JOIN seen USING (kind, external_id) \
    WHERE r.provider = $1), \
    kept AS (INSERT INTO cloud_resources (provider, kind, external_id, name, region, tags, \
    observed_state, first_seen, last_seen) \
    SELECT $1, kind, external_id, name, region, tags, state, $8, $8 FROM seen \
    ORDER BY kind, external_id \
    ON CONFLICT (provider, kind, external_id) DO UPDATE SET name = excluded.name, \
    region = excluded.region, tags = excluded.tags, observed_state = excluded.observed_state, \
    last_seen = excluded.last_seen, missing_since = NULL, gone_at = NULL) \
    SELECT (SELECT count(*) FROM seen) - known.of FROM known";

/// Takes in what a provider says exists. What was there before the survey began and is not in it is
/// missing; what was missing already is gone.
pub(super) async fn observe(
    connection: &mut Connection,
    survey: &Survey,
) -> Result<Observed, Trouble> {
    let (begun, at) = (survey.begun_at.as_micros(), survey.at.as_micros());
    let found = &survey.found;
    let tags: Vec<String> =
        found.iter().map(|seen| serde_json::to_string(&seen.tags).unwrap_or_default()).collect();
    let kinds: Vec<&str> = found.iter().map(|seen| &*seen.kind).collect();
    let ids: Vec<_> = found.iter().map(|seen| clean(&seen.external_id)).collect();
    let names: Vec<_> = found.iter().map(|seen| seen.name.as_deref().map(clean)).collect();
    let regions: Vec<_> = found.iter().map(|seen| seen.region.as_deref().map(clean)).collect();
    let states: Vec<&str> = found.iter().map(|seen| seen.state.as_str()).collect();
    let row = [
        (&survey.provider as _, Type::TEXT),
        (&kinds as _, Type::TEXT_ARRAY),
        (&ids as _, Type::TEXT_ARRAY),
        (&names as _, Type::TEXT_ARRAY),
        (&regions as _, Type::TEXT_ARRAY),
        (&tags as _, Type::TEXT_ARRAY),
        (&states as _, Type::TEXT_ARRAY),
        (&at as _, Type::INT8),
    ];
    let new = connection.query(SEEN, &row).await?;
    let new: i64 = new.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    let (provider, kinds) = (&survey.provider, &survey.kinds);
    let mut mark = async |what: &str, of: &str| -> Result<usize, Trouble> {
        let sql = format!(
            "UPDATE cloud_resources SET {what} = $4 WHERE provider = $1 AND kind = ANY ($2) \
             AND last_seen < $3 AND gone_at IS NULL{of} RETURNING 1"
        );
        let row = [
            (provider as _, Type::TEXT),
            (kinds as _, Type::TEXT_ARRAY),
            (&begun as _, Type::INT8),
            (&at as _, Type::INT8),
        ];
        Ok(connection.query(&sql, &row).await?.len())
    };
    let gone = mark("gone_at", " AND missing_since IS NOT NULL").await?;
    let missing = mark("missing_since", "").await?;
    let new = usize::try_from(new).unwrap_or_default();
    Ok(Observed { seen: found.len(), new, missing, gone })
}

/// Everything that was ever seen.
pub(super) async fn resources(connection: &mut Connection) -> Result<Vec<Resource>, Trouble> {
    let sql = "SELECT r.provider, r.kind, r.external_id, r.name, r.region, r.tags, \
        r.observed_state, r.first_seen, r.last_seen, r.missing_since, r.gone_at, \
        (SELECT p.saga_id FROM cloud_provisioned p WHERE p.resource_no = r.resource_no \
         AND p.closed_at IS NULL ORDER BY p.provisioned_no LIMIT 1), \
        (SELECT p.saga_id FROM cloud_provisioned p WHERE p.resource_no = r.resource_no \
         ORDER BY p.provisioned_no DESC LIMIT 1) \
        FROM cloud_resources r ORDER BY r.provider, r.kind, r.external_id";
    let rows = connection.query(sql, &[]).await?;
    let resource = |row: &SqlRow| {
        let state: Option<String> = row.try_get(6)?;
        Ok(Resource {
            provider: row.try_get(0)?,
            kind: row.try_get(1)?,
            external_id: row.try_get(2)?,
            name: row.try_get(3)?,
            region: row.try_get(4)?,
            tags: serde_json::from_str(row.try_get::<_, &str>(5)?).unwrap_or_default(),
            state: state.and_then(|state| Json::parse(state).ok()),
            first_seen: moment(row, 7)?.unwrap_or_default(),
            last_seen: moment(row, 8)?.unwrap_or_default(),
            missing_since: moment(row, 9)?,
            gone_at: moment(row, 10)?,
            wanted_by: by(row, 11)?,
            made_by: by(row, 12)?,
        })
    };
    rows.iter().map(resource).collect()
}
