-- Version 2: what runs hold, and what they wait for. A run that is settled holds nothing, whatever
-- stands here.

CREATE TABLE lock_keys (key text COLLATE "C" PRIMARY KEY);  -- locked while somebody takes the key
CREATE TABLE run_locks (
    key   text COLLATE "C" NOT NULL,
    id    uuid NOT NULL,
    held  boolean NOT NULL,     -- or waited for
    alone boolean NOT NULL,     -- a lock; or a limit, which ends when the run is at rest
    PRIMARY KEY (key, id)
);
CREATE INDEX locks_of_run ON run_locks (id);
