-- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
IF (
    SELECT true
    FROM {rows}
    WHERE {any_condition}
    LIMIT 1
) THEN
    IF {is_own_table}
    THEN
        SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
               pg_catalog.array_agg(found.code),
               pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
        INTO own.users, own.things, own.codes, own.evidences, own.verdicts
        FROM (
            SELECT DISTINCT ON ({each_award})
                   {known_user} AS known_user,
                   {thing} AS thing,
                   badge.code,
                   {evidence}
                       AS evidence
            FROM {rows}
            CROSS JOIN LATERAL (
                VALUES
                {conditions}
            ) AS badge (code, earned)
            WHERE badge.earned
              AND {subject_exists}
        ) AS found
        WHERE found.code OPERATOR(pg_catalog.<>) ALL (
            {held_by_found});
        IF own.users IS NOT NULL THEN
            PERFORM {record}(own.users, own.things, own.codes, own.evidences, own.verdicts);
        END IF;
    ELSE
        {misplaced}
    END IF;
END IF;
