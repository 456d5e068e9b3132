-- Claims due runs for one worker, the highest priority first and of one priority those that
-- are put in below, leaving out what others are just claiming. Priority by priority, so that the index
-- gives just what is due and not what waits. The worker is locked against being taken for dead.
-- Written so that whatever the planner believes of the tables it takes as much as is wanted from the front of the
-- index and looks each up; else it would sort all that is due, read a whole table or compile the statement: limits
-- and arrays are computed, so that it expects little; ranges of one value keep their column in the order, which only
-- that index gives; what must not be IS DISTINCT, as of `<> ALL` it may expect nothing at all; the specs are behind
-- a fence.
WITH RECURSIVE priorities (priority) AS (
    SELECT max(priority) FROM run_heads WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT max(lower.priority) FROM run_heads lower
            WHERE lower.due_at IS NOT NULL AND lower.priority < priorities.priority)
    FROM priorities WHERE priorities.priority IS NOT NULL
), working AS MATERIALIZED (
    SELECT id FROM workers WHERE id = $1 AND NOT dead FOR KEY SHARE
), due AS MATERIALIZED (
    SELECT found.* FROM unnest(ARRAY(SELECT priority FROM priorities)) AS priorities (priority)
    CROSS JOIN LATERAL (
        {FOUND}
    ) found
    LIMIT (SELECT $5)
), taken AS (
    UPDATE run_heads SET owner = $1, claim_id = gen_random_uuid(), fence = fence + 1,
        orphaned = false, nudged = false, due_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM due))
    RETURNING *
)
SELECT (SELECT count(*) FROM working) AS working, s.id IS NOT NULL AS found,
    due.orphaned AS was_orphaned, h.fence, {RUN}
FROM (SELECT) always LEFT JOIN (taken h JOIN due USING (id) CROSS JOIN LATERAL (
    SELECT * FROM run_specs WHERE run_specs.id = h.id OFFSET 0) s) ON true
ORDER BY due.priority DESC, due.due_at
