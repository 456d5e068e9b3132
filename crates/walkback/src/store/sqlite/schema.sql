-- Version 1. The tables are narrow and private; the names that people query are the views in
-- views.sql. Moments are microseconds since 1970, UTC.

CREATE TABLE run_specs (            -- what a run was started with; never changes
    run_no          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    step_modules    TEXT NOT NULL,
    inputs          TEXT NOT NULL,
    idempotency_key TEXT,
    labels          TEXT NOT NULL,
    queue           TEXT NOT NULL,
    priority        INTEGER NOT NULL,
    deadline        INTEGER,
    parent          TEXT,
    created_at      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX run_keys ON run_specs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE run_labels (
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    run_no INTEGER NOT NULL,
    PRIMARY KEY (name, value, run_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_heads (            -- the one narrow row of a run that changes
    run_no           INTEGER PRIMARY KEY,
    status           TEXT NOT NULL,
    current_step_idx INTEGER NOT NULL,
    steps            TEXT NOT NULL, -- per step: status letter, attempts, undo attempts, round
    cancel_requested INTEGER NOT NULL,
    error            TEXT,
    parked           TEXT,
    attention        INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    ledger_len       INTEGER NOT NULL,
    ledger_head      BLOB NOT NULL,
    wake_at          INTEGER,
    due_at           INTEGER,       -- null while somebody owns it
    queue            TEXT NOT NULL,
    priority         INTEGER NOT NULL,
    claim_id         BLOB,
    fence            INTEGER NOT NULL,
    owner            INTEGER,
    orphaned         INTEGER NOT NULL,
    nudged           INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_due ON run_heads (priority DESC, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_needing_attention ON run_heads (parked) WHERE attention;
CREATE INDEX runs_owned ON run_heads (owner, nudged) WHERE nudged;

CREATE TABLE ledger_rows (          -- appended in the order of commits; no update, ever
    run_no   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    step_idx INTEGER,
    attempt  INTEGER,
    actor    TEXT,
    claim_id BLOB NOT NULL,
    fence    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    payload  TEXT NOT NULL,
    previous BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_places ON ledger_rows (run_no, seq);

CREATE TABLE cloud_resources (
    resource_no    INTEGER PRIMARY KEY,
    provider       TEXT NOT NULL,
    kind           TEXT NOT NULL,
    external_id    TEXT NOT NULL,
    name           TEXT,
    region         TEXT,
    tags           TEXT NOT NULL DEFAULT '[]',
    observed_state TEXT,
    first_seen     INTEGER NOT NULL,
    last_seen      INTEGER NOT NULL,
    gone_at        INTEGER,
    UNIQUE (provider, kind, external_id)
) STRICT;
CREATE TABLE cloud_provisioned (
    provisioned_no INTEGER PRIMARY KEY,
    resource_no    INTEGER NOT NULL REFERENCES cloud_resources,
    saga_id        TEXT NOT NULL,
    step_idx       INTEGER NOT NULL,
    spec           TEXT NOT NULL,
    spec_version   INTEGER NOT NULL,
    status         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    closed_at      INTEGER
) STRICT;
CREATE INDEX provisioned_by_saga ON cloud_provisioned (saga_id, step_idx);
CREATE INDEX provisioned_of_resource ON cloud_provisioned (resource_no);
