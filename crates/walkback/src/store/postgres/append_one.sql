-- What append.sql does, for a single run: no list of runs has to be taken apart.
WITH closing AS MATERIALIZED (
    SELECT FROM cloud_provisioned
    WHERE saga_id = $1 AND step_idx = ANY ($31::int[]) AND closed_at IS NULL
), applied AS (
    UPDATE run_heads SET status = $2, current_step_idx = $3, steps = $4, cancel_requested = $5,
        error = $6, parked = $7, attention = $8, started_at = $9, finished_at = $10,
        ledger_len = $11, ledger_head = $12, wake_at = $13, call_at = $14,
        due_at = CASE WHEN owner IS NOT NULL AND NOT $15 THEN NULL
            WHEN orphaned OR $16 OR nudged AND $13 IS NOT NULL THEN 0 ELSE $13 END,
        orphaned = orphaned OR $16,
        owner = CASE WHEN $15 THEN NULL ELSE owner END,
        nudged = $17::uuid IS NULL AND owner IS NOT NULL AND NOT $15
    WHERE id = $1 AND ledger_len = $19
      AND ($17::uuid IS NULL OR claim_id = $17 AND fence = $18 AND owner IS NOT NULL)
      AND NOT EXISTS (SELECT FROM closing)
    RETURNING id
), ledger AS (
    INSERT INTO ledger_rows (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload,
        previous)
    SELECT row.* FROM applied, unnest($20::uuid[], $21::bigint[], $22::text[], $23::int[],
        $24::int[], $25::text[], $26::uuid[], $27::bigint[], $28::bigint[], $29::text[], $30::bytea[])
    AS row (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload, previous)
)
SELECT $1, true FROM applied UNION ALL SELECT $1, false FROM closing
