-- What append.sql does, for a single run that closes nothing and gets at most two rows: a server takes longer
-- to take lists apart than to write what is in them.
WITH applied AS (
    UPDATE run_heads SET status = $2, current_step_idx = $3, steps = $4, cancel_requested = $5,
        error = $6, parked = $7, attention = $8, started_at = $9, finished_at = $10,
        ledger_len = $11, ledger_head = $12, wake_at = $13, call_at = $14,
        due_at = CASE WHEN owner IS NOT NULL AND NOT $35 THEN NULL
            WHEN orphaned OR $36 OR nudged AND $13 IS NOT NULL THEN 0 ELSE $13 END,
        orphaned = orphaned OR $36,
        owner = CASE WHEN $35 THEN NULL ELSE owner END,
        nudged = $37::uuid IS NULL AND owner IS NOT NULL AND NOT $35
    WHERE id = $1 AND ledger_len = $39
      AND ($37::uuid IS NULL OR claim_id = $37 AND fence = $38 AND owner IS NOT NULL)
    RETURNING id
), ledger AS (
    INSERT INTO ledger_rows (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload,
        previous)
    SELECT applied.id, row.* FROM applied, (VALUES
        ($15, $16, $17, $18, $19, $20, $21, $22, $23, $24),
        ($25, $26, $27, $28, $29, $30, $31, $32, $33, $34))
    AS row (seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload, previous)
    WHERE row.seq IS NOT NULL
)
SELECT FROM applied
