-- Where more is due than the worker takes: of one priority every party gets its turn, from the one behind
-- $6 on and round about, each with an equal share of the places, the longest due first. Parties are found
-- by leaping through the index from one to the next, at most as many as there are places. Within claim.sql.
        WITH RECURSIVE behind (party, nth) AS (
            (SELECT head.party, 1 FROM run_heads head
             WHERE head.due_at IS NOT NULL AND head.priority = priorities.priority
               AND head.party > $6 ORDER BY head.party LIMIT 1)
            UNION ALL
            SELECT next.party, behind.nth + 1 FROM behind CROSS JOIN LATERAL (
                SELECT head.party FROM run_heads head
                WHERE head.due_at IS NOT NULL AND head.priority = priorities.priority
                  AND head.party > behind.party ORDER BY head.party LIMIT 1
            ) next WHERE behind.nth < $5
        ), before (party, nth) AS (
            (SELECT head.party, 1 FROM run_heads head
             WHERE head.due_at IS NOT NULL AND head.priority = priorities.priority
               AND head.party <= $6 ORDER BY head.party LIMIT 1)
            UNION ALL
            SELECT next.party, before.nth + 1 FROM before CROSS JOIN LATERAL (
                SELECT head.party FROM run_heads head
                WHERE head.due_at IS NOT NULL AND head.priority = priorities.priority
                  AND head.party > before.party AND head.party <= $6
                ORDER BY head.party LIMIT 1
            ) next WHERE before.nth < $5
        ), parties AS MATERIALIZED (
            SELECT party FROM (SELECT party, 1 AS half, nth FROM behind
                               UNION ALL SELECT party, 2, nth FROM before) round
            ORDER BY half, nth LIMIT (SELECT $5)
        ), share AS MATERIALIZED (
            SELECT ($5 + count(*) - 1) / greatest(count(*), 1) AS places FROM parties
        )
        SELECT its.* FROM unnest(ARRAY(SELECT party FROM parties)) AS parties (party) CROSS JOIN LATERAL (
            SELECT head.id, head.orphaned, head.due_at, head.priority FROM run_heads head
            WHERE (head.priority BETWEEN priorities.priority AND priorities.priority)
              AND (head.party BETWEEN parties.party AND parties.party)
              AND head.due_at <= $2
              AND EXISTS (SELECT FROM working)
              AND ($3::text[] IS NULL OR head.queue = ANY ($3))
              AND ((head.needs = ANY ($4::bigint[])) IS DISTINCT FROM true)
            ORDER BY head.priority DESC, head.party, head.due_at
            LIMIT (SELECT places FROM share)
            FOR UPDATE OF head SKIP LOCKED
        ) its
