-- Version 6: budgets of calls that all processes share; and whom runs are for, as a number.

CREATE TABLE shared_budgets (
    key   TEXT PRIMARY KEY,
    calls REAL NOT NULL,      -- that may be made at once; less than none if some are booked ahead
    at    INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE run_heads ADD COLUMN party INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_by_party ON run_heads (priority DESC, party, due_at) WHERE due_at IS NOT NULL;
