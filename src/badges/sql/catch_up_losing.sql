        -- A check that this transaction has noted would have to outlast it; nobody runs beside it who could need that.
        WITH losing AS (
            SELECT lost.user_id, lost.thing
            FROM (
{losing}
            ) AS lost
            WHERE NOT EXISTS (
                SELECT FROM {pending} AS p
                WHERE p.user_id = lost.user_id AND p.code = {code} AND p.thing = lost.thing AND p.evidence ->> 'asks' = {asks})
            LIMIT {most}
        ),
        noted AS (
            INSERT INTO {pending} (bucket, user_id, code, thing, evidence, noted_by)
            SELECT {bucket}, losing.user_id, {code}, losing.thing, {evidence}::jsonb, ''
            FROM losing
            RETURNING user_id, code, thing
        )
        SELECT losing_users || array_agg(noted.user_id), losing_codes || array_agg(noted.code::text),
               losing_things || array_agg(noted.thing)
        INTO losing_users, losing_codes, losing_things
        FROM noted;
