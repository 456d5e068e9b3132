//! Makes the tables, and checks that server and database are ones to work with.

use tokio_postgres::types::Type;

use crate::store::StoreError;
use crate::store::postgres::connect::{Connection, Database, Trouble};

/// Each migration brings the database from its index to the next version.
pub(super) const MIGRATIONS: [&str; 4] = [
    concat!(include_str!("schema.sql"), include_str!("views.sql")),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];
/// The oldest server with `gen_random_uuid()`, by its own way of counting.
const OLDEST: i32 = 130_000;

const ASK: &str = "SELECT current_setting('server_version_num')::int, \
     current_setting('server_version'), current_setting('server_encoding'), \
     pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', \
     to_regclass('walkback_schema') IS NOT NULL";

/// Checks the server, and brings the tables of an empty database to this version.
pub(super) async fn prepare(
    connection: &mut Connection,
    database: &Database,
) -> Result<(), StoreError> {
    check(connection, database).await.map_err(|trouble| match trouble.told(database) {
        StoreError::Failed { place, why } => StoreError::Unusable { place, why },
        other => other,
    })
}

fn refuse<T>(database: &Database, why: String) -> Result<T, Trouble> {
    Err(Trouble::Store(StoreError::Unusable { place: database.place.to_string(), why }))
}

async fn check(connection: &mut Connection, database: &Database) -> Result<(), Trouble> {
    let rows = connection.query(ASK, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (number, version): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if number < OLDEST {
        let why = format!("the server is PostgreSQL {version}: expected 13 or newer");
        return refuse(database, why);
    }
    let encoding: String = row.try_get(2)?;
    if encoding != "UTF8" {
        return refuse(database, format!("the database's encoding is {encoding}: expected UTF8"));
    }
    if row.try_get(3)? {
        let why = "it is read-only, a replica perhaps: expected the primary".to_owned();
        return refuse(database, why);
    }
    let known = MIGRATIONS.len();
    let found = if row.try_get(4)? { version_of(connection).await? } else { 0 };
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => {
            let Err(trouble) = migrate(connection).await else { return Ok(()) };
            let Some(said) = trouble.forbidden() else { return Err(trouble) };
            let why = format!(
                "its schema has version {found}, this program needs {known}, and this role may not change \
                 it ({said}): expected `walkback migrate` by the owner of the tables first"
            );
            refuse(database, why)
        }
        std::cmp::Ordering::Greater => refuse(
            database,
            format!(
                "its schema has version {found}, this program knows up to {known}: expected a newer walkback"
            ),
        ),
    }
}

async fn version_of(connection: &mut Connection) -> Result<usize, Trouble> {
    let rows = connection.query("SELECT max(version) FROM walkback_schema", &[]).await?;
    let version: Option<i32> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
    usize::try_from(version.unwrap_or(0)).map_err(|error| Trouble::Damaged(error.to_string()))
}

/// Brings the tables to this version, in one transaction. Of several that try at once one does it,
/// by the lock of a table, which ends with the transaction: no session has to be held.
async fn migrate(connection: &mut Connection) -> Result<(), Trouble> {
    let table = "CREATE TABLE IF NOT EXISTS walkback_schema \
                 (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())";
    if let Err(trouble) = connection.batch(table).await {
        // Two that make it at once: the second one fails, and it is there.
        connection
            .query("SELECT 1 FROM walkback_schema LIMIT 1", &[])
            .await
            .map_err(|_| trouble)?;
    }
    connection.batch("BEGIN; LOCK TABLE walkback_schema IN EXCLUSIVE MODE").await?;
    connection.hold();
    let from = version_of(connection).await?;
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        connection.batch(migration).await?;
        connection.hold();
        let version = i32::try_from(at + 1).unwrap_or(i32::MAX);
        let sql = "INSERT INTO walkback_schema (version) VALUES ($1)";
        connection.query(sql, &[(&version, Type::INT4)]).await?;
    }
    connection.commit().await
}
