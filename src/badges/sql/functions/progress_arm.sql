-- {name}
BEGIN
    {zone}
    RETURN QUERY
    SELECT reached.user_id, badge.code, reached.value
    FROM (
        SELECT asked.user_id,
               {value}::numeric AS value
        FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
    ) AS reached
    CROSS JOIN pg_catalog.unnest({codes}) AS badge (code);
EXCEPTION WHEN OTHERS THEN
    RETURN QUERY
    SELECT asked.user_id, badge.code, NULL::numeric
    FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
    CROSS JOIN pg_catalog.unnest({codes}) AS badge (code);
END;
