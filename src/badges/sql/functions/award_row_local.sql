        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        IF (SELECT true FROM {rows} WHERE {any_condition} LIMIT 1) AND {is_own_table} THEN
            SELECT array_agg(found.known_user), array_agg(found.thing), array_agg(found.code), array_agg(found.evidence),
                   array_agg('award'::text)
            INTO own.users, own.things, own.codes, own.evidences, own.verdicts
            FROM (
                SELECT DISTINCT ON ({user}, {thing}, badge.code)
                       {known_user} AS known_user, {thing} AS thing, badge.code, {evidence} AS evidence
                FROM {rows}
                CROSS JOIN LATERAL (
                    VALUES
{conditions}
                ) AS badge (code, earned)
                WHERE badge.earned AND {user} IS NOT NULL AND {thing} IS NOT NULL
            ) AS found
            WHERE {lacks_found};
            IF own.users IS NOT NULL THEN
                PERFORM {record}(own.users, own.things, own.codes, own.evidences, own.verdicts);
            END IF;
        END IF;
