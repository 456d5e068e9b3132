-- Version 3: budgets of calls that all processes share.

CREATE TABLE shared_budgets (
    key   text COLLATE "C" PRIMARY KEY,
    calls double precision NOT NULL,  -- that may be made at once; less than none if some are booked ahead
    at    bigint NOT NULL
);
