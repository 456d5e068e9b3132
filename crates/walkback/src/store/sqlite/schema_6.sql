-- Version 6: budgets of calls that all processes share.

CREATE TABLE shared_budgets (
    key   TEXT PRIMARY KEY,
    calls REAL NOT NULL,      -- that may be made at once; less than none if some are booked ahead
    at    INTEGER NOT NULL
) WITHOUT ROWID;
