        -- Other rows decide these. Users who lack one are locked first, in a statement of its own: the next statement then
        -- sees what everybody who had the lock before has committed.
        SELECT array_agg(lacking.bucket),
               array_agg(lacking.bucket) FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock({lock}, lacking.bucket))
        INTO own.buckets, own.busy
        FROM (
            SELECT DISTINCT {bucket} AS bucket
            FROM {rows}
            WHERE {user} IS NOT NULL
              AND (SELECT count(*) FROM {badges} AS b WHERE b.user_id = {user} AND b.code COLLATE "C" IN ({codes})) < {count}
            OFFSET 0
        ) AS lacking;
        IF own.buckets IS NOT NULL THEN
            IF own.busy IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
                own.busy := {wait}(own.buckets, own.busy);
            END IF;
            -- What is earned is awarded in any case; what is not, under a lock that another transaction has, is left to a
            -- pending check, as that transaction may be about to commit what is missing.
            SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(found.earned)
            INTO own.users, own.codes, own.evidences, own.earned
            FROM (
                SELECT {known_user} AS known_user, badge.code, {evidence} AS evidence, badge.earned
                FROM {distinct_rows}
                CROSS JOIN LATERAL (
                    SELECT coalesce(array_agg(b.code), '{{}}') AS codes
                    FROM {badges} AS b
                    WHERE b.user_id = {user} AND b.code COLLATE "C" IN ({codes})
                    OFFSET 0
                ) AS held
                CROSS JOIN LATERAL (
                    VALUES
{conditions}
                ) AS badge (code, earned, leaves_check)
                -- Who is in none of the buckets has lost a badge since the statement before.
                WHERE badge.earned
                   OR (NOT badge.earned
                       AND (badge.leaves_check OR {bucket} = ANY (own.busy) OR {bucket} <> ALL (own.buckets)))
            ) AS found
            WHERE found.known_user IS NOT NULL;
            IF own.users IS NOT NULL THEN
                PERFORM {record}(own.users, own.codes, own.evidences, own.earned);
            END IF;
            -- Whoever has the lock settles a few of the checks that were left because of it.
            IF EXISTS (
                SELECT FROM {pending} AS p
                WHERE p.bucket = ANY (own.buckets) AND p.bucket <> ALL (coalesce(own.busy, '{{}}'))
                  AND p.noted_by IS DISTINCT FROM pg_current_xact_id_if_assigned()::text
            ) THEN
                PERFORM {settle}(array(SELECT unnest(own.buckets) EXCEPT SELECT unnest(own.busy)), 10);
            END IF;
        END IF;
