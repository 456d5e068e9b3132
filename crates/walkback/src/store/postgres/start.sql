-- Accepts many runs, each with its rows, its head and its labels; answers of each whether it was, and
-- whether its owner works here. One whose key is known, or whose owner does not, is not accepted. The
-- owner is locked against being taken for dead, so that no run is given to one who is.
WITH new AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::bool[], $6::text[],
        $7::text[], $8::bool[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[],
        $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
        $20::text[], $21::int[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
        $26::bigint[], $27::uuid[])
    AS new (id, status, current_step_idx, steps, cancel_requested, error, parked, attention,
        started_at, finished_at, ledger_len, ledger_head, wake_at, call_at, kind, step_modules,
        inputs, idempotency_key, labels, queue, priority, deadline, created_at, needs, party,
        worker, claim_id)
), working AS MATERIALIZED (
    SELECT id AS worker FROM workers
    WHERE id IN (SELECT worker FROM new) AND NOT dead FOR KEY SHARE
), wanted AS MATERIALIZED (
    SELECT new.* FROM new LEFT JOIN working USING (worker)
    WHERE new.worker IS NULL OR working.worker IS NOT NULL
), accepted AS (
    INSERT INTO run_specs (id, kind, step_modules, inputs, idempotency_key, labels, queue, priority,
        deadline, created_at)
    SELECT id, kind, step_modules, inputs, idempotency_key, labels, queue, priority, deadline,
        created_at
    FROM wanted
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id
), heads AS (
    INSERT INTO run_heads (id, status, current_step_idx, steps, cancel_requested, error, parked,
        attention, started_at, finished_at, ledger_len, ledger_head, wake_at, due_at, call_at, queue,
        priority, needs, party, claim_id, fence, owner, orphaned, nudged)
    SELECT id, status, current_step_idx, steps, cancel_requested, error, parked, attention,
        started_at, finished_at, ledger_len, ledger_head, wake_at,
        CASE WHEN worker IS NULL THEN wake_at END, call_at, queue, priority, needs, party, claim_id,
        CASE WHEN worker IS NULL THEN 0 ELSE 1 END, worker, false, false
    FROM wanted JOIN accepted USING (id)
), labelled AS (
    INSERT INTO run_labels (id, name, value)
    SELECT label.* FROM unnest($28::uuid[], $29::text[], $30::text[]) AS label (id, name, value)
    JOIN accepted USING (id)
), ledger AS (
    INSERT INTO ledger_rows (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload,
        previous)
    SELECT row.* FROM unnest($31::uuid[], $32::bigint[], $33::text[], $34::int[], $35::int[],
        $36::text[], $37::uuid[], $38::bigint[], $39::bigint[], $40::text[], $41::bytea[])
    AS row (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload, previous)
    JOIN accepted USING (id)
)
SELECT new.id, accepted.id IS NOT NULL, wanted.id IS NOT NULL
FROM new LEFT JOIN wanted USING (id) LEFT JOIN accepted USING (id)
