-- What start.sql does, for a single run without labels that begins with at most two rows.
WITH working AS MATERIALIZED (
    SELECT id FROM workers WHERE id = $45 AND NOT dead FOR KEY SHARE
), accepted AS (
    INSERT INTO run_specs (id, kind, step_modules, inputs, idempotency_key, labels, queue, priority,
        deadline, created_at)
    SELECT $1, $35, $36, $37, $38, '{}', $39, $40, $41, $42
    WHERE $45::bigint IS NULL OR EXISTS (SELECT FROM working)
    ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id
), heads AS (
    INSERT INTO run_heads (id, status, current_step_idx, steps, cancel_requested, error, parked,
        attention, started_at, finished_at, ledger_len, ledger_head, wake_at, due_at, call_at, queue,
        priority, needs, party, claim_id, fence, owner, orphaned, nudged)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
        CASE WHEN $45::bigint IS NULL THEN $13 END, $14, $39, $40, $43, $44, $46,
        CASE WHEN $45::bigint IS NULL THEN 0 ELSE 1 END, $45, false, false
    FROM accepted
), ledger AS (
    INSERT INTO ledger_rows (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload,
        previous)
    SELECT accepted.id, row.* FROM accepted, (VALUES
        ($15, $16, $17, $18, $19, $20, $21, $22, $23, $24),
        ($25, $26, $27, $28, $29, $30, $31, $32, $33, $34))
    AS row (seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload, previous)
    WHERE row.seq IS NOT NULL
)
SELECT EXISTS (SELECT FROM accepted), $45::bigint IS NULL OR EXISTS (SELECT FROM working)
