
-- The public names: what people query. Moments are RFC 3339 text.

CREATE VIEW saga_ledger AS
SELECT s.id AS saga_id, l.seq, l.kind, l.step_idx, l.attempt, l.actor,
       iif(l.fence, lower(hex(l.claim_id)), NULL) AS claim_id, nullif(l.fence, 0) AS fence,
       strftime('%Y-%m-%dT%H:%M:%S', l.at / 1000000, 'unixepoch')
           || printf('.%06dZ', l.at % 1000000) AS at,
       l.payload, lower(hex(l.previous)) AS previous_hash
FROM ledger_rows l JOIN run_specs s USING (run_no);

-- One row for each step of each run. Letter, attempts, undo attempts and the first ledger row of
-- the round stand in the run's head, as `c1.0@7`; the rest is read off the ledger, so that it
-- cannot disagree with it.
CREATE VIEW saga_step_results AS
WITH steps AS (
    SELECT s.run_no, s.id AS saga_id, c.key AS step_idx, substr(c.value, 1, 1) AS letter,
           CAST(substr(c.value, 2) AS INTEGER) AS attempts,
           iif(instr(c.value, '.'), CAST(substr(c.value, instr(c.value, '.') + 1) AS INTEGER), 0)
               AS compensation_attempts,
           iif(instr(c.value, '@'), CAST(substr(c.value, instr(c.value, '@') + 1) AS INTEGER), 0)
               AS round_from,
           (SELECT iif(type = 'text', json_array(value),
                       json_array(coalesce(value ->> '$.name', value ->> '$.step'),
                                  value ->> '$.scope'))
            FROM (SELECT m.type, m.value, row_number() OVER (ORDER BY m.id) AS place
                  FROM json_tree(s.step_modules) m
                  WHERE m.type IN ('text', 'object') AND m.fullkey NOT LIKE '%.%')
            WHERE place = c.key + 1) AS names
    FROM run_heads h JOIN run_specs s USING (run_no), json_each(h.steps) c
), read AS (
    SELECT steps.*,
           (SELECT iif(l.kind = 'step_completed', l.payload -> '$.output', l.payload -> '$.found')
            FROM ledger_rows l
            WHERE l.run_no = steps.run_no AND l.step_idx = steps.step_idx AND l.seq >= round_from
              AND (l.kind = 'step_completed'
                   OR l.kind = 'undo_probed' AND l.payload ->> '$.found' IS NOT NULL)
            ORDER BY l.seq DESC LIMIT 1) AS output,
           (SELECT l.payload ->> '$.error' FROM ledger_rows l
            WHERE l.run_no = steps.run_no AND l.step_idx = steps.step_idx AND l.seq >= round_from
              AND l.kind IN ('step_completed', 'step_failed', 'undo_failed')
            ORDER BY l.seq DESC LIMIT 1) AS error,
           (SELECT min(l.at) FROM ledger_rows l
            WHERE l.run_no = steps.run_no AND l.step_idx = steps.step_idx
              AND l.kind = 'step_started') AS started_us,
           (SELECT l.at FROM ledger_rows l
            WHERE l.run_no = steps.run_no AND l.step_idx = steps.step_idx AND l.seq >= round_from
              AND letter NOT IN ('p', 'r')
              AND (l.kind IN ('step_completed', 'step_skipped')
                   OR l.kind = 'step_failed' AND (l.payload ->> '$.then' = 'walk_back'
                        OR l.payload -> '$.then.hold_until' IS NOT NULL))
            ORDER BY l.seq DESC LIMIT 1) AS finished_us,
           (SELECT max(l.at) FROM ledger_rows l
            WHERE letter = 'd' AND l.run_no = steps.run_no AND l.step_idx = steps.step_idx
              AND l.kind = 'undo_completed') AS compensated_us
    FROM steps
)
SELECT saga_id, step_idx, names ->> 0 AS step, names ->> 1 AS scope,
       CASE letter WHEN 'p' THEN 'pending' WHEN 'r' THEN 'running' WHEN 'c' THEN 'completed'
           WHEN 'f' THEN 'failed' WHEN 's' THEN 'skipped' WHEN 'k' THEN 'compensating'
           WHEN 'd' THEN 'compensated' WHEN 'x' THEN 'compensation_failed'
           WHEN 'a' THEN 'abandoned' WHEN 'm' THEN 'resolved' END AS status,
       output, error, attempts, compensation_attempts,
       strftime('%Y-%m-%dT%H:%M:%S', started_us / 1000000, 'unixepoch')
           || printf('.%06dZ', started_us % 1000000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', finished_us / 1000000, 'unixepoch')
           || printf('.%06dZ', finished_us % 1000000) AS finished_at,
       strftime('%Y-%m-%dT%H:%M:%S', compensated_us / 1000000, 'unixepoch')
           || printf('.%06dZ', compensated_us % 1000000) AS compensated_at
FROM read;

-- The context: inputs, edits and the outputs that stand, member by member, the newest of a name;
-- outputs of a scope below its name. Members are copied as they are, not re-encoded.
CREATE VIEW saga_contexts AS
WITH layers AS (
    SELECT id AS saga_id, -2 AS place, 0 AS at, NULL AS scope, inputs AS object FROM run_specs
    UNION ALL
    SELECT s.id, -1, l.seq, NULL, l.payload -> '$.set'
    FROM ledger_rows l JOIN run_specs s USING (run_no)
    WHERE l.kind = 'resumed' AND l.payload ->> '$.set' IS NOT NULL
    UNION ALL
    SELECT saga_id, step_idx, 0, scope, output FROM saga_step_results WHERE output IS NOT NULL
), members AS (
    SELECT saga_id, scope, m.key AS name, place, at,
           CASE WHEN instr(m.key, '"') THEN json_quote(m.value)
                ELSE object -> ('$."' || m.key || '"') END AS value
    FROM layers, json_each(object) m
), newest AS (
    SELECT saga_id, scope, name, value,
           row_number() OVER (PARTITION BY saga_id, scope, name ORDER BY place DESC, at DESC) AS age
    FROM members
), merged AS (
    SELECT saga_id, name, value, 0 AS scoped FROM newest WHERE age = 1 AND scope IS NULL
    UNION ALL
    SELECT saga_id, scope, json_group_object(name, json(value)), 1
    FROM newest WHERE age = 1 AND scope IS NOT NULL GROUP BY saga_id, scope
)
SELECT s.id AS saga_id,
       coalesce((SELECT json_group_object(name, json(value)) FROM merged m WHERE m.saga_id = s.id),
                '{}') AS context
FROM run_specs s;

CREATE VIEW saga_runs AS
SELECT s.id, s.kind, h.status, s.step_modules, h.current_step_idx, s.inputs,
       (SELECT context FROM saga_contexts c WHERE c.saga_id = s.id) AS context,
       h.cancel_requested, h.error, h.parked, h.attention, s.queue, s.idempotency_key, s.labels,
       s.priority, iif(h.owner IS NULL, NULL, lower(hex(h.claim_id))) AS claim_id, h.fence,
       h.ledger_len, lower(hex(h.ledger_head)) AS ledger_head,
       strftime('%Y-%m-%dT%H:%M:%S', h.wake_at / 1000000, 'unixepoch')
           || printf('.%06dZ', h.wake_at % 1000000) AS wake_at,
       strftime('%Y-%m-%dT%H:%M:%S', s.deadline / 1000000, 'unixepoch')
           || printf('.%06dZ', s.deadline % 1000000) AS deadline,
       s.parent,
       strftime('%Y-%m-%dT%H:%M:%S', s.created_at / 1000000, 'unixepoch')
           || printf('.%06dZ', s.created_at % 1000000) AS created_at,
       strftime('%Y-%m-%dT%H:%M:%S', h.started_at / 1000000, 'unixepoch')
           || printf('.%06dZ', h.started_at % 1000000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', h.finished_at / 1000000, 'unixepoch')
           || printf('.%06dZ', h.finished_at % 1000000) AS finished_at
FROM run_specs s JOIN run_heads h USING (run_no);
