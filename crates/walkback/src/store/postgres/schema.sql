-- Version 1. The tables are narrow and private; the names that people query are the views in
-- views.sql. Moments are microseconds since 1970, UTC. JSON is text: bytes in are bytes out.

CREATE TABLE run_specs (            -- what a run was started with; never changes
    id              uuid PRIMARY KEY,
    kind            text COLLATE "C" NOT NULL,
    step_modules    text NOT NULL,
    inputs          text NOT NULL,
    idempotency_key text COLLATE "C",
    labels          text NOT NULL,
    queue           text COLLATE "C" NOT NULL,
    priority        integer NOT NULL,
    deadline        bigint,
    parent          uuid,
    created_at      bigint NOT NULL
);
CREATE UNIQUE INDEX run_keys ON run_specs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE run_labels (
    name  text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    id    uuid NOT NULL,
    PRIMARY KEY (name, value, id)
);

-- The one narrow row of a run that changes. A run that somebody owns is updated in its page alone:
-- no column of an index changes then, and a page has room.
CREATE TABLE run_heads (
    id               uuid PRIMARY KEY,
    status           text COLLATE "C" NOT NULL,
    current_step_idx integer NOT NULL,
    steps            text NOT NULL, -- per step: status letter, attempts, undo attempts, round
    cancel_requested boolean NOT NULL,
    error            text,
    parked           text COLLATE "C",
    attention        boolean NOT NULL,
    started_at       bigint,
    finished_at      bigint,
    ledger_len       bigint NOT NULL,
    ledger_head      bytea NOT NULL,
    wake_at          bigint,
    due_at           bigint,        -- null while somebody owns it
    call_at          bigint,
    queue            text COLLATE "C" NOT NULL,
    priority         integer NOT NULL,
    needs            bigint NOT NULL,
    claim_id         uuid,
    fence            bigint NOT NULL,
    owner            bigint,
    orphaned         boolean NOT NULL,
    nudged           boolean NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX runs_due ON run_heads (priority DESC, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_next ON run_heads (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_owned ON run_heads (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_nudged ON run_heads (owner) WHERE nudged;
CREATE INDEX runs_needing_attention ON run_heads (parked) WHERE attention;
CREATE INDEX calls_due ON run_heads (call_at) WHERE call_at IS NOT NULL;

CREATE TABLE ledger_rows (          -- appended in the order of commits; no update, ever
    id       uuid NOT NULL,
    seq      bigint NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    step_idx integer,
    attempt  integer,
    actor    text,
    claim_id uuid NOT NULL,
    fence    bigint NOT NULL,
    at       bigint NOT NULL,
    payload  text NOT NULL,
    previous bytea NOT NULL,
    PRIMARY KEY (id, seq)
);

CREATE TABLE workers (              -- who works here; expires_at is by this server's clock
    id         bigint PRIMARY KEY,
    pid        bigint NOT NULL,
    host       text NOT NULL,
    version    text NOT NULL,
    steps      text NOT NULL,
    since      bigint NOT NULL,
    seen_at    timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    dead       boolean NOT NULL
);

CREATE TABLE run_tombstones (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL,
    status      text NOT NULL,
    created_at  bigint NOT NULL,
    finished_at bigint NOT NULL,
    ledger_len  bigint NOT NULL,
    ledger_head bytea NOT NULL,
    pruned_at   bigint NOT NULL,
    pruned_by   text NOT NULL,
    reason      text
);

CREATE TABLE cloud_resources (
    resource_no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider       text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    external_id    text COLLATE "C" NOT NULL,
    name           text,
    region         text,
    tags           text NOT NULL DEFAULT '[]',
    observed_state text,
    first_seen     bigint NOT NULL,
    last_seen      bigint NOT NULL,
    missing_since  bigint,
    gone_at        bigint,
    UNIQUE (provider, kind, external_id)
);
CREATE TABLE cloud_provisioned (
    provisioned_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource_no    bigint NOT NULL REFERENCES cloud_resources,
    saga_id        uuid NOT NULL,
    step_idx       integer NOT NULL,
    spec           text NOT NULL,
    spec_version   bigint NOT NULL,
    status         text NOT NULL,
    created_at     bigint NOT NULL,
    updated_at     bigint NOT NULL,
    closed_at      bigint,
    changed_by     uuid
);
CREATE INDEX provisioned_by_saga ON cloud_provisioned (saga_id, step_idx);
CREATE INDEX provisioned_of_resource ON cloud_provisioned (resource_no);
