//! Budgets, by the clock of whoever books.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::sqlite::codec::{execute, prepare};
use crate::store::{Booking, Bucket, Turn};
use crate::time::Timestamp;

pub(super) fn book(connection: &Connection, booking: &Booking) -> rusqlite::Result<Turn> {
    let mut known = prepare(connection, "SELECT calls, at FROM shared_budgets WHERE key = ?1")?;
    let bucket = known.query_row([&booking.key], |row| {
        Ok(Bucket { calls: row.get(0)?, at: Timestamp::from_micros(row.get(1)?) })
    });
    let bucket = bucket.optional()?.unwrap_or_else(|| booking.full(booking.now));
    let (left, turn) = booking.book(bucket, booking.now);
    let sql = "INSERT INTO shared_budgets (key, calls, at) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO UPDATE SET calls = excluded.calls, at = excluded.at";
    execute(connection, sql, params![booking.key, left.calls, left.at.as_micros()])?;
    Ok(turn)
}
