-- Adds rows to many runs, each under its own guard (promise I7); answers to which it did. One without
-- a claim proves the length alone: an owner, if there is one, is nudged, or loses the run. A run that
-- closes what it provisioned is told of and left alone: that takes a transaction. Nearly always
-- there is nothing to close, as no step said that it provisions anything. Ids stand in an array of its own
-- once more: of one that it has to compute the planner expects ten, so that however many they are each is
-- looked up, and the whole table is never read.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::bool[], $6::text[],
        $7::text[], $8::bool[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[],
        $13::bigint[], $14::bigint[], $15::bool[], $16::bool[], $17::uuid[], $18::bigint[],
        $19::bigint[])
    AS wanted (id, status, current_step_idx, steps, cancel_requested, error, parked, attention,
        started_at, finished_at, ledger_len, ledger_head, wake_at, call_at, release, orphan, claim_id,
        fence, expected_len)
), closing AS MATERIALIZED (
    SELECT DISTINCT close.id
    FROM unnest($31::uuid[], $32::int[]) AS close (id, step_idx) JOIN cloud_provisioned made
    ON made.saga_id = close.id AND made.step_idx = close.step_idx AND made.closed_at IS NULL
), applied AS (
    UPDATE run_heads head SET status = wanted.status, current_step_idx = wanted.current_step_idx,
        steps = wanted.steps, cancel_requested = wanted.cancel_requested, error = wanted.error,
        parked = wanted.parked, attention = wanted.attention, started_at = wanted.started_at,
        finished_at = wanted.finished_at, ledger_len = wanted.ledger_len,
        ledger_head = wanted.ledger_head, wake_at = wanted.wake_at, call_at = wanted.call_at,
        due_at = CASE WHEN head.owner IS NOT NULL AND NOT release THEN NULL
            WHEN head.orphaned OR orphan OR head.nudged AND wanted.wake_at IS NOT NULL THEN 0
            ELSE wanted.wake_at END,
        orphaned = head.orphaned OR orphan,
        owner = CASE WHEN release THEN NULL ELSE head.owner END,
        nudged = wanted.claim_id IS NULL AND head.owner IS NOT NULL AND NOT release
    FROM wanted
    WHERE head.id = wanted.id AND head.id = ANY (ARRAY(SELECT id FROM wanted))
      AND head.ledger_len = wanted.expected_len
      AND (wanted.claim_id IS NULL OR head.claim_id = wanted.claim_id
           AND head.fence = wanted.fence AND head.owner IS NOT NULL)
      AND wanted.id NOT IN (SELECT id FROM closing)
    RETURNING head.id
), ledger AS (
    INSERT INTO ledger_rows (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload,
        previous)
    SELECT row.* FROM unnest($20::uuid[], $21::bigint[], $22::text[], $23::int[], $24::int[],
        $25::text[], $26::uuid[], $27::bigint[], $28::bigint[], $29::text[], $30::bytea[])
    AS row (id, seq, kind, step_idx, attempt, actor, claim_id, fence, at, payload, previous)
    JOIN applied USING (id)
)
SELECT id, true FROM applied UNION ALL SELECT id, false FROM closing
