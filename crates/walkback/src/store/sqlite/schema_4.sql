-- Version 4: what a worker has to know to take a run; of those from before nothing is known.

ALTER TABLE run_heads ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;
