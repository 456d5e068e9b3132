-- Claims due runs for one worker, the highest priority first and of one priority the one that is
-- due longest, leaving out what others are just claiming. Priority by priority, so that the index
-- gives just what is due and not what waits. The worker is locked against being taken for dead.
WITH RECURSIVE priorities (priority) AS (
    SELECT max(priority) FROM run_heads WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT max(head.priority) FROM run_heads head
            WHERE head.due_at IS NOT NULL AND head.priority < priorities.priority)
    FROM priorities WHERE priorities.priority IS NOT NULL
), working AS MATERIALIZED (
    SELECT id FROM workers WHERE id = $1 AND NOT dead FOR KEY SHARE
), due AS MATERIALIZED (
    SELECT found.* FROM priorities CROSS JOIN LATERAL (
        SELECT head.id, head.orphaned, head.due_at, head.priority FROM run_heads head
        WHERE head.priority = priorities.priority AND head.due_at <= $2
          AND EXISTS (SELECT FROM working)
          AND ($3::text[] IS NULL OR head.queue = ANY ($3))
          AND head.needs <> ALL ($4::bigint[])
        ORDER BY head.due_at LIMIT $5
        FOR UPDATE OF head SKIP LOCKED
    ) found
    WHERE priorities.priority IS NOT NULL
    LIMIT $5
), taken AS (
    UPDATE run_heads head SET owner = $1, claim_id = gen_random_uuid(), fence = fence + 1,
        orphaned = false, nudged = false, due_at = NULL
    FROM due WHERE head.id = due.id
    RETURNING head.*, due.orphaned AS was_orphaned, due.due_at AS was_due
)
SELECT (SELECT count(*) FROM working) AS working, s.id IS NOT NULL AS found, h.was_orphaned,
    h.fence, {RUN}
FROM (SELECT) always LEFT JOIN (taken h JOIN run_specs s USING (id)) ON true
ORDER BY h.priority DESC, h.was_due
