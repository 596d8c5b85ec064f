    -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
    INSERT INTO {badges} (user_id, code, evidence)
    SELECT earned.user_id, earned.code, earned.evidence
    FROM (
        SELECT DISTINCT ON ({user}, badge.code) {user} AS user_id, badge.code, {evidence} AS evidence
        FROM {rows}
        CROSS JOIN LATERAL (
            VALUES
{conditions}
        ) AS badge (code, earned)
        WHERE badge.earned AND {user} IS NOT NULL
    ) AS earned
    WHERE (SELECT u.{user_key} FROM {users} AS u WHERE u.{user_key} = earned.user_id) IS NOT NULL
      AND (SELECT true FROM {badges} AS b WHERE b.user_id = earned.user_id AND b.code = earned.code) IS NULL
    ON CONFLICT DO NOTHING;
