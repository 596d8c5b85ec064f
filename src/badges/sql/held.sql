            CROSS JOIN LATERAL (
                SELECT coalesce(array_agg(b.code), '{{}}') AS codes
                FROM {badges} AS b
                WHERE b.user_id = {user} AND b.code COLLATE "C" IN ({codes})
                OFFSET 0
            ) AS held
