-- Version 5: what runs hold, and what they wait for. A run that is settled holds nothing, whatever
-- stands here.

CREATE TABLE run_locks (
    key    TEXT NOT NULL,
    run_no INTEGER NOT NULL,
    held   INTEGER NOT NULL,  -- or waited for
    alone  INTEGER NOT NULL,  -- a lock; or a limit, which ends when the run is at rest
    PRIMARY KEY (key, run_no)
) WITHOUT ROWID;
CREATE INDEX locks_of_run ON run_locks (run_no);
