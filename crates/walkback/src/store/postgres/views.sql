-- The public names: what people query, the same as on SQLite. Moments are RFC 3339 text, and JSON is
-- of the type json, which keeps it as it was written.

CREATE FUNCTION walkback_moment(micros bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT to_char('epoch'::timestamp + micros * interval '1 microsecond',
                  'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- Name and scope of a list's nth step, depth first. A function of its own, as the planner takes every
-- list for a hundred entries long, and compiles what looks dear for a second and more.
CREATE FUNCTION walkback_step_name(step_modules text, nth bigint) RETURNS text[] LANGUAGE sql
IMMUTABLE PARALLEL SAFE COST 50 AS $$
    WITH RECURSIVE walk (path, node) AS (
        SELECT ARRAY[m.place], m.value
        FROM json_array_elements(step_modules::json) WITH ORDINALITY m (value, place)
        UNION ALL
        SELECT walk.path || m.place, m.value
        FROM walk, json_array_elements(
            CASE WHEN json_typeof(node) = 'array' THEN node ELSE '[]' END)
            WITH ORDINALITY m (value, place)
    ), named AS (
        SELECT node, row_number() OVER (ORDER BY path) AS place FROM walk
        WHERE json_typeof(node) IN ('string', 'object')
    )
    SELECT CASE WHEN json_typeof(node) = 'string' THEN ARRAY[node #>> '{}', NULL]
        ELSE ARRAY[coalesce(node ->> 'name', node ->> 'step'), node ->> 'scope'] END
    FROM named WHERE place = nth
$$;

CREATE VIEW saga_ledger AS
SELECT l.id AS saga_id, l.seq, l.kind, l.step_idx, l.attempt, l.actor,
       CASE WHEN l.fence > 0 THEN l.claim_id END AS claim_id, nullif(l.fence, 0) AS fence,
       walkback_moment(l.at) AS at, l.payload::json AS payload,
       encode(l.previous, 'hex') AS previous_hash
FROM ledger_rows l;

-- One row for each step of each run. Letter, attempts, undo attempts and the first ledger row of
-- the round stand in the run's head, as `c1.0@7`; the rest is read off the ledger, so that it
-- cannot disagree with it.
CREATE VIEW saga_step_results AS
WITH steps AS (
    SELECT s.id, (c.place - 1)::integer AS step_idx, substr(c.value, 1, 1) AS letter,
           substring(c.value FROM '^.([0-9]+)')::integer AS attempts,
           coalesce(substring(c.value FROM '\.([0-9]+)')::integer, 0) AS compensation_attempts,
           coalesce(substring(c.value FROM '@([0-9]+)')::bigint, 0) AS round_from,
           walkback_step_name(s.step_modules, c.place) AS names
    FROM run_heads h JOIN run_specs s USING (id),
         json_array_elements_text(h.steps::json) WITH ORDINALITY c (value, place)
)
SELECT steps.id AS saga_id, step_idx, names[1] AS step, names[2] AS scope,
       CASE letter WHEN 'p' THEN 'pending' WHEN 'r' THEN 'running' WHEN 'c' THEN 'completed'
           WHEN 'f' THEN 'failed' WHEN 's' THEN 'skipped' WHEN 'k' THEN 'compensating'
           WHEN 'd' THEN 'compensated' WHEN 'x' THEN 'compensation_failed'
           WHEN 'a' THEN 'abandoned' WHEN 'm' THEN 'resolved' END AS status,
       (SELECT CASE WHEN l.kind = 'step_completed' THEN l.payload::json -> 'output'
                    ELSE l.payload::json -> 'found' END
        FROM ledger_rows l
        WHERE l.id = steps.id AND l.step_idx = steps.step_idx AND l.seq >= round_from
          AND (l.kind = 'step_completed'
               OR l.kind = 'undo_probed' AND l.payload::json ->> 'found' IS NOT NULL)
        ORDER BY l.seq DESC LIMIT 1) AS output,
       (SELECT l.payload::json ->> 'error' FROM ledger_rows l
        WHERE l.id = steps.id AND l.step_idx = steps.step_idx AND l.seq >= round_from
          AND l.kind IN ('step_completed', 'step_failed', 'undo_failed')
        ORDER BY l.seq DESC LIMIT 1) AS error,
       attempts, compensation_attempts,
       walkback_moment((SELECT min(l.at) FROM ledger_rows l
        WHERE l.id = steps.id AND l.step_idx = steps.step_idx
          AND l.kind = 'step_started')) AS started_at,
       walkback_moment((SELECT l.at FROM ledger_rows l
        WHERE l.id = steps.id AND l.step_idx = steps.step_idx AND l.seq >= round_from
          AND letter NOT IN ('p', 'r')
          AND (l.kind IN ('step_completed', 'step_skipped')
               OR l.kind = 'step_failed'
                  AND (CASE WHEN json_typeof(l.payload::json -> 'then') = 'string'
                            THEN l.payload::json ->> 'then' = 'walk_back'
                            ELSE l.payload::json #> '{then,hold_until}' IS NOT NULL END))
        ORDER BY l.seq DESC LIMIT 1)) AS finished_at,
       walkback_moment((SELECT max(l.at) FROM ledger_rows l
        WHERE letter = 'd' AND l.id = steps.id AND l.step_idx = steps.step_idx
          AND l.kind = 'undo_completed')) AS compensated_at
FROM steps;

-- The context: inputs, edits and the outputs that stand, member by member, the newest of a name;
-- outputs of a scope below its name. Members are copied as they are, not re-encoded.
CREATE VIEW saga_contexts AS
SELECT s.id AS saga_id, coalesce(
    (WITH layers AS (
        SELECT -2 AS place, 0::bigint AS at, NULL AS scope, s.inputs::json AS object
        UNION ALL
        SELECT -1, l.seq, NULL, l.payload::json -> 'set' FROM ledger_rows l
        WHERE l.id = s.id AND l.kind = 'resumed'
          AND json_typeof(l.payload::json -> 'set') = 'object'
        UNION ALL
        SELECT r.step_idx, 0, r.scope, r.output FROM saga_step_results r
        WHERE r.saga_id = s.id AND json_typeof(r.output) = 'object'
    ), newest AS (
        SELECT scope, m.key AS name, m.value, row_number() OVER (
            PARTITION BY scope, m.key ORDER BY layers.place DESC, layers.at DESC, m.nth DESC) AS age
        FROM layers, json_each(object) WITH ORDINALITY m (key, value, nth)
    ), merged AS (
        SELECT name, value FROM newest WHERE age = 1 AND scope IS NULL
        UNION ALL
        SELECT scope, json_object_agg(name, value) FROM newest
        WHERE age = 1 AND scope IS NOT NULL GROUP BY scope
    )
    SELECT json_object_agg(name, value) FROM merged), '{}') AS context
FROM run_specs s;

CREATE VIEW saga_runs AS
SELECT s.id, s.kind, h.status, s.step_modules::json AS step_modules, h.current_step_idx,
       s.inputs::json AS inputs,
       (SELECT context FROM saga_contexts c WHERE c.saga_id = s.id) AS context,
       h.cancel_requested, h.error::json AS error, h.parked, h.attention, s.queue, s.idempotency_key,
       s.labels::json AS labels, s.priority,
       CASE WHEN h.owner IS NOT NULL THEN h.claim_id END AS claim_id, h.fence, h.ledger_len,
       encode(h.ledger_head, 'hex') AS ledger_head, walkback_moment(h.wake_at) AS wake_at,
       walkback_moment(s.deadline) AS deadline, s.parent,
       walkback_moment(s.created_at) AS created_at, walkback_moment(h.started_at) AS started_at,
       walkback_moment(h.finished_at) AS finished_at
FROM run_specs s JOIN run_heads h USING (id);

CREATE VIEW saga_tombstones AS
SELECT id, kind, status, ledger_len, encode(ledger_head, 'hex') AS ledger_head,
       walkback_moment(created_at) AS created_at, walkback_moment(finished_at) AS finished_at,
       walkback_moment(pruned_at) AS pruned_at, pruned_by, reason
FROM run_tombstones;
