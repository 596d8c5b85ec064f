-- A session looks up once a second whether a badge is deferred, as long as none is.
own.deferred := NULL;
IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
   OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
   AND {is_own_table}
THEN
    own.deferred := {deferred}(
        {codes});
    IF own.deferred IS NOT NULL THEN
        -- These took too long in earlier writes. They count as held here, and pending checks are left,
        -- which are evaluated after the COMMIT.
        PERFORM {record}(
            pg_catalog.array_agg({known_user}),
            pg_catalog.array_agg({thing}),
            pg_catalog.array_agg(badge.code),
            pg_catalog.array_agg(
                {evidence}),
            pg_catalog.array_agg('check'::text))
        FROM {distinct_rows}
        CROSS JOIN LATERAL (
            SELECT {held} AS codes
            OFFSET 0
        ) AS badges_held
        CROSS JOIN unnest(
            {codes},
            {revocable}
        ) AS badge (code, is_revocable)
        WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
          AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
          AND {subject_exists};
        own.held := ARRAY(
            SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
            UNION
            SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
    END IF;
END IF;
