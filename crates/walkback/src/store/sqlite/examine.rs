//! How a file is: its settings, its health, its size.

use rusqlite::Connection;

use crate::store::Finding;
use crate::store::sqlite::migrate::VERSION;

/// A file with more of its pages free than used is worth a `VACUUM`, from this size on, in bytes.
const WORTH_SHRINKING: u64 = 64 << 20;

pub(super) fn examine(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let text =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, String>(0));
    let number =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    let mut found = vec![
        Finding::good("engine", format!("SQLite {}", rusqlite::version())),
        Finding::good("schema", format!("version {VERSION}")),
    ];
    let journal = text("journal_mode")?;
    found.push(if journal == "wal" {
        // Every connection that writes is opened with it.
        Finding::good("durability", "journal_mode=wal, synchronous=full")
    } else {
        Finding::bad(
            "durability",
            format!(
                "journal_mode={journal}: expected wal, which is set when it is opened to write"
            ),
        )
    });
    let health = text("quick_check")?;
    found.push(if health == "ok" {
        Finding::good("file", "every page is sound")
    } else {
        Finding::bad("file", format!("{health}: expected a sound file; restore the last backup"))
    });
    let page = number("page_size")?;
    let (size, free) = (number("page_count")? * page, number("freelist_count")? * page);
    let says = format!("{} MB, of which {} MB are free", size >> 20, free >> 20);
    found.push(if size > WORTH_SHRINKING && free > size / 2 {
        Finding::look("size", format!("{says}: `VACUUM` makes it smaller, while nobody works"))
    } else {
        Finding::good("size", says)
    });
    Ok(found)
}
