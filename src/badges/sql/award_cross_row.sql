    -- Other rows decide these: a user is looked at once, and only for the badges that they lack.
    INSERT INTO {badges} (user_id, code, evidence)
    SELECT {user}, badge.code, {evidence}
    FROM {rows}
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(b.code), '{{}}') AS codes
        FROM {badges} AS b
        WHERE b.user_id = {user} AND b.code IN ({codes})
        OFFSET 0
    ) AS held
    CROSS JOIN LATERAL (
        VALUES
{conditions}
    ) AS badge (code, earned)
    WHERE badge.earned
      AND (SELECT u.{user_key} FROM {users} AS u WHERE u.{user_key} = {user}) IS NOT NULL
    ON CONFLICT DO NOTHING;
