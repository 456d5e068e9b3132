-- Of one priority the runs that are due longest; within claim.sql.
        SELECT head.id, head.orphaned, head.due_at, head.priority FROM run_heads head
        WHERE (head.priority BETWEEN priorities.priority AND priorities.priority)
          AND head.due_at <= $2
          AND EXISTS (SELECT FROM working)
          AND ($3::text[] IS NULL OR head.queue = ANY ($3))
          AND ((head.needs = ANY ($4::bigint[])) IS DISTINCT FROM true)
        ORDER BY head.priority DESC, head.due_at LIMIT (SELECT $5)
        FOR UPDATE OF head SKIP LOCKED
