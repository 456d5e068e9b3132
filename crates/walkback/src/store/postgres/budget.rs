//! Budgets, by the server's clock: within a transaction, one booking after the other.

use tokio_postgres::types::Type;

use crate::store::postgres::connect::{Connection, Trouble, Value};
use crate::store::{Booking, Bucket, Turn};
use crate::time::Timestamp;

pub(super) async fn book(connection: &mut Connection, booking: &Booking) -> Result<Turn, Trouble> {
    let key = booking.key.as_str();
    let sql =
        "INSERT INTO shared_budgets (key, calls, at) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    let values: [Value<'_>; 2] = [(&key, Type::TEXT), (&booking.burst, Type::FLOAT8)];
    connection.query(sql, &values).await?;
    let sql = "SELECT calls, at, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint \
               FROM shared_budgets WHERE key = $1 FOR UPDATE";
    let rows = connection.query(sql, &[(&key, Type::TEXT)]).await?;
    let row = rows.first().ok_or_else(|| Trouble::Damaged(format!("no budget `{key}`")))?;
    let bucket = Bucket { calls: row.try_get(0)?, at: Timestamp::from_micros(row.try_get(1)?) };
    let (left, turn) = booking.book(bucket, Timestamp::from_micros(row.try_get(2)?));
    let sql = "UPDATE shared_budgets SET calls = $2, at = $3 WHERE key = $1";
    let at = left.at.as_micros();
    let values: [Value<'_>; 3] =
        [(&key, Type::TEXT), (&left.calls, Type::FLOAT8), (&at, Type::INT8)];
    connection.query(sql, &values).await?;
    Ok(turn)
}
