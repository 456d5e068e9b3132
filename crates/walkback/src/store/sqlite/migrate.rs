//! Makes the tables, checks whose file it is, and sets what durability depends on.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;
use crate::store::sqlite::{Place, Pragmas};

/// "WALK": in the file's header, so that no other program's database is taken for ours.
const APPLICATION_ID: i64 = 0x5741_4C4B;
/// The version of the tables that this program works with.
pub(super) const VERSION: usize = MIGRATIONS.len();
/// Each migration brings the file from its index to the next version.
const MIGRATIONS: [&str; 6] = [
    concat!(include_str!("schema.sql"), include_str!("views.sql")),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
];
/// How long to wait for another process that writes.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Sets the pragmas, reads them back, and brings the schema to this version.
pub(super) fn prepare(connection: &Connection, place: &Place) -> Result<Pragmas, StoreError> {
    let failed = |error: rusqlite::Error| place.error(&error);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    check_owner(connection, place)?;
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let journal_mode =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", mode).map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let number = |name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed)
    };
    // An invalid value silently means NORMAL: what counts is what is read back.
    let synchronous = if number("synchronous")? == 2 { "FULL" } else { "NORMAL" };
    if journal_mode != "wal" || synchronous != "FULL" {
        let why =
            format!("journal_mode={journal_mode}, synchronous={synchronous}: expected wal, FULL");
        return Err(place.unusable(why));
    }
    migrate(connection, place)?;
    Ok(Pragmas {
        journal_mode,
        synchronous: synchronous.to_owned(),
        page_size: number("page_size")?,
        wal_autocheckpoint: number("wal_autocheckpoint")?,
        version: rusqlite::version().to_owned(),
    })
}

fn check_owner(connection: &Connection, place: &Place) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| place.error(&error);
    let number = |name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed)
    };
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    let (owner, version) = (number("application_id")?, number("user_version")?);
    if owner != APPLICATION_ID && (tables > 0 || owner != 0) {
        return Err(place.unusable(
            "this is another program's database: expected one of walkback, or a new file",
        ));
    }
    let known = MIGRATIONS.len();
    if version > i64::try_from(known).unwrap_or(i64::MAX) {
        let why = format!(
            "its schema has version {version}, this program knows up to {known}: expected a newer walkback"
        );
        return Err(place.unusable(why));
    }
    Ok(())
}

fn migrate(connection: &Connection, place: &Place) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| place.error(&error);
    let version =
        |on: &Connection| on.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    if version(connection).map_err(failed)? == MIGRATIONS.len() {
        return Ok(());
    }
    let change = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(failed)?;
    let from = version(&change).map_err(failed)?;
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        change.execute_batch(migration).map_err(failed)?;
        change.pragma_update(None, "user_version", at + 1).map_err(failed)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    change.commit().map_err(failed)
}
