        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        IF (SELECT true FROM {rows} WHERE {any_condition} LIMIT 1) THEN
            SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
            INTO own.users, own.codes, own.evidences, own.earned
            FROM (
                SELECT DISTINCT ON ({user}, badge.code) {known_user} AS known_user, badge.code, {evidence} AS evidence
                FROM {rows}
                CROSS JOIN LATERAL (
                    VALUES
{conditions}
                ) AS badge (code, earned)
                WHERE badge.earned AND {user} IS NOT NULL
            ) AS found
            WHERE (SELECT true FROM {badges} AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
            IF own.users IS NOT NULL THEN
                PERFORM {record}(own.users, own.codes, own.evidences, own.earned);
            END IF;
        END IF;
