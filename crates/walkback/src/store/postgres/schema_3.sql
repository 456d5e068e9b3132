-- Version 3: budgets of calls that all processes share; and whom runs are for, as a number.

CREATE TABLE shared_budgets (
    key   text COLLATE "C" PRIMARY KEY,
    calls double precision NOT NULL,  -- that may be made at once; less than none if some are booked ahead
    at    bigint NOT NULL
);

ALTER TABLE run_heads ADD COLUMN party bigint NOT NULL DEFAULT 0;
CREATE INDEX runs_by_party ON run_heads (priority DESC, party, due_at) WHERE due_at IS NOT NULL;
