
-- Version 2: what is left of pruned runs, and for which runs the hook is to be called.

CREATE TABLE run_tombstones (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    status      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    ledger_len  INTEGER NOT NULL,
    ledger_head BLOB NOT NULL,
    pruned_at   INTEGER NOT NULL,
    pruned_by   TEXT NOT NULL,
    reason      TEXT
) STRICT, WITHOUT ROWID;

ALTER TABLE run_heads ADD COLUMN call_at INTEGER;
UPDATE run_heads SET call_at = 0 WHERE attention;
CREATE INDEX calls_due ON run_heads (call_at) WHERE call_at IS NOT NULL;

CREATE VIEW saga_tombstones AS
SELECT id, kind, status, ledger_len, lower(hex(ledger_head)) AS ledger_head,
       strftime('%Y-%m-%dT%H:%M:%S', created_at / 1000000, 'unixepoch')
           || printf('.%06dZ', created_at % 1000000) AS created_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_at / 1000000, 'unixepoch')
           || printf('.%06dZ', finished_at % 1000000) AS finished_at,
       strftime('%Y-%m-%dT%H:%M:%S', pruned_at / 1000000, 'unixepoch')
           || printf('.%06dZ', pruned_at % 1000000) AS pruned_at,
       pruned_by, reason
FROM run_tombstones;
