//! Statements that only read.

use std::collections::HashMap;

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::id::SagaId;
use crate::ledger::Row;
use crate::store::postgres::codec::{
    EACH_ID, HEAD, LEDGER, RUN, SPEC_COLUMNS, claim_id, head as decode_head, ledger_row, moment,
    saga_id, signed, spec, uuid,
};
use crate::store::postgres::connect::{Connection, Trouble};
use crate::store::postgres::prune::PRUNABLE;
use crate::store::{Filter, Head, StoredRun};
use crate::time::Timestamp;

fn limit(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// A run without its rows, whose columns are those of `RUN` from `at` on.
pub(super) fn run(row: &tokio_postgres::Row, at: usize) -> Result<StoredRun, Trouble> {
    let owner = claim_id(row, at)?;
    let (spec, head) = (spec(row, at + 1)?, decode_head(row, at + 1 + SPEC_COLUMNS)?);
    Ok(StoredRun { spec, head, rows: Vec::new(), owner })
}

/// Reads the rows of these runs. Their heads were read before: rows that came since are left out, so
/// that a run is of one moment. Runs that were pruned since are left out as well.
pub(super) async fn with_rows(
    connection: &mut Connection,
    runs: Vec<StoredRun>,
) -> Result<Vec<StoredRun>, Trouble> {
    let sql = format!("SELECT {LEDGER} FROM ledger_rows l WHERE id = {EACH_ID} ORDER BY id, seq");
    let ids: Vec<Uuid> = runs.iter().map(|run| uuid(run.spec.id)).collect();
    let mut rows: HashMap<SagaId, Vec<Row>> = HashMap::with_capacity(runs.len());
    for row in connection.query(&sql, &[(&ids, Type::UUID_ARRAY)]).await? {
        rows.entry(saga_id(&row, 0)?).or_default().push(ledger_row(&row)?);
    }
    let whole = runs.into_iter().filter_map(|mut run| {
        run.rows = rows.remove(&run.spec.id)?;
        run.rows.truncate(usize::try_from(run.head.len).unwrap_or(usize::MAX));
        Some(run)
    });
    Ok(whole.collect())
}

async fn runs(
    connection: &mut Connection,
    which: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<StoredRun>, Trouble> {
    let sql = format!("SELECT {RUN} FROM run_specs s JOIN run_heads h USING (id) {which}");
    let heads = connection.query(&sql, values).await?;
    let runs = heads.iter().map(|row| run(row, 0)).collect::<Result<Vec<_>, _>>()?;
    with_rows(connection, runs).await
}

pub(super) async fn load(
    connection: &mut Connection,
    id: SagaId,
) -> Result<Option<StoredRun>, Trouble> {
    Ok(runs(connection, "WHERE s.id = $1", &[(&uuid(id), Type::UUID)]).await?.pop())
}

/// Those of these runs that are there, in no order.
pub(super) async fn load_each(
    connection: &mut Connection,
    ids: &[SagaId],
) -> Result<Vec<StoredRun>, Trouble> {
    let ids: Vec<Uuid> = ids.iter().copied().map(uuid).collect();
    runs(connection, &format!("WHERE s.id = {EACH_ID}"), &[(&ids, Type::UUID_ARRAY)]).await
}

pub(super) async fn scan(
    connection: &mut Connection,
    after: Option<SagaId>,
    most: usize,
) -> Result<Vec<StoredRun>, Trouble> {
    let after = after.map_or(Uuid::nil(), uuid);
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&after, Type::UUID), (&limit(most), Type::INT8)];
    runs(connection, "WHERE s.id > $1 ORDER BY s.id LIMIT $2", &values).await
}

pub(super) async fn head(connection: &mut Connection, id: SagaId) -> Result<Option<Head>, Trouble> {
    let sql = format!("SELECT {HEAD} FROM run_heads h WHERE h.id = $1");
    let rows = connection.query(&sql, &[(&uuid(id), Type::UUID)]).await?;
    rows.first().map(|row| decode_head(row, 0)).transpose()
}

pub(super) async fn rows(
    connection: &mut Connection,
    id: SagaId,
    from: u64,
) -> Result<Vec<Row>, Trouble> {
    let sql =
        format!("SELECT {LEDGER} FROM ledger_rows l WHERE id = $1 AND seq >= $2 ORDER BY seq");
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&uuid(id), Type::UUID), (&signed(from), Type::INT8)];
    connection.query(&sql, &values).await?.iter().map(ledger_row).collect()
}

/// The runs that fit, newest first: ids sort by the time of their making.
pub(super) async fn list(
    connection: &mut Connection,
    filter: &Filter,
) -> Result<Vec<SagaId>, Trouble> {
    let mut sql =
        String::from("SELECT s.id FROM run_specs s JOIN run_heads h USING (id) WHERE true");
    let mut values: Vec<(Box<dyn ToSql + Sync + Send>, Type)> = Vec::new();
    // A condition's `$` stands for its next value.
    let mut fit = |condition: &str, with: Vec<(Box<dyn ToSql + Sync + Send>, Type)>| {
        sql.push_str(" AND ");
        let mut parts = condition.split('$');
        sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(with) {
            values.push(value);
            sql.push('$');
            sql.push_str(&values.len().to_string());
            sql.push_str(part);
        }
    };
    if !filter.statuses.is_empty() {
        let names: Vec<&'static str> = filter.statuses.iter().map(|s| s.name()).collect();
        fit("h.status = ANY ($)", vec![(Box::new(names), Type::TEXT_ARRAY)]);
    }
    if let Some(kind) = &filter.kind {
        fit("s.kind = $", vec![(Box::new(kind.clone()), Type::TEXT)]);
    }
    for (name, value) in &filter.labels {
        let has =
            "EXISTS (SELECT FROM run_labels l WHERE l.name = $ AND l.value = $ AND l.id = s.id)";
        let (name, value) = (Box::new(name.clone()), Box::new(value.clone()));
        fit(has, vec![(name, Type::TEXT), (value, Type::TEXT)]);
    }
    if let Some(why) = &filter.parked {
        fit("h.attention AND h.parked = $", vec![(Box::new(why.clone()), Type::TEXT)]);
    }
    if filter.attention {
        fit("h.attention", Vec::new());
    }
    if let Some(before) = filter.prunable_before {
        let old = format!("h.finished_at < $ AND {PRUNABLE}");
        fit(&old, vec![(Box::new(before.as_micros()), Type::INT8)]);
    }
    if let Some(after) = filter.after {
        fit("s.id < $", vec![(Box::new(uuid(after)), Type::UUID)]);
    }
    values.push((Box::new(limit(filter.limit)), Type::INT8));
    let sql = format!("{sql} ORDER BY s.id DESC LIMIT ${}", values.len());
    let values: Vec<(&(dyn ToSql + Sync), Type)> =
        values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
    connection.query(&sql, &values).await?.iter().map(|row| saga_id(row, 0)).collect()
}

/// The runs for which the hook is to be called, the soonest first.
pub(super) async fn calls(
    connection: &mut Connection,
    most: usize,
) -> Result<Vec<(SagaId, Timestamp)>, Trouble> {
    let sql =
        "SELECT id, call_at FROM run_heads WHERE call_at IS NOT NULL ORDER BY call_at LIMIT $1";
    let calls = connection.query(sql, &[(&limit(most), Type::INT8)]).await?;
    calls.iter().map(|row| Ok((saga_id(row, 0)?, moment(row, 1)?.unwrap_or_default()))).collect()
}
