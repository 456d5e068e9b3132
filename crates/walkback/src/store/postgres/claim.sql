-- Claims due runs for one worker, the highest priority first and of one priority those that
-- are put in below, leaving out what others are just claiming. Priority by priority, so that the index
-- gives just what is due and not what waits. The worker is locked against being taken for dead.
-- Limits and arrays are computed, as the planner then expects little: it takes as much as is wanted from the
-- front of an index and looks each up, where it would else sort all that is due or read a whole table.
WITH RECURSIVE priorities (priority) AS (
    SELECT max(priority) FROM run_heads WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM run_heads lower
            WHERE lower.due_at IS NOT NULL AND lower.priority < priorities.priority)
    FROM priorities WHERE priorities.priority IS NOT NULL
), working AS MATERIALIZED (
    SELECT id FROM workers WHERE id = $1 AND NOT dead FOR KEY SHARE
), due AS MATERIALIZED (
    SELECT found.* FROM priorities CROSS JOIN LATERAL (
        {FOUND}
    ) found
    LIMIT (SELECT $5)
), taken AS (
    UPDATE run_heads head SET owner = $1, claim_id = gen_random_uuid(), fence = fence + 1,
        orphaned = false, nudged = false, due_at = NULL
    FROM due WHERE head.id = due.id AND head.id = ANY (ARRAY(SELECT id FROM due))
    RETURNING head.*, due.orphaned AS was_orphaned, due.due_at AS was_due
)
SELECT (SELECT count(*) FROM working) AS working, s.id IS NOT NULL AS found, h.was_orphaned,
    h.fence, {RUN}
FROM (SELECT) always LEFT JOIN (taken h JOIN run_specs s
    ON s.id = h.id AND s.id = ANY (ARRAY(SELECT id FROM due))) ON true
ORDER BY h.priority DESC, h.was_due
