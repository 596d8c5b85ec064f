            -- Users who lack a badge are locked first, in a statement of its own: the next statement then sees what everybody who
            -- had the lock before has committed.
            SELECT array_agg(lacking.bucket),
                   array_agg(lacking.bucket) FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock({lock}, lacking.bucket)),
                   bool_or((SELECT true FROM {pending} AS p WHERE p.bucket = lacking.bucket LIMIT 1))
            INTO own.buckets, own.busy, own.has_checks
            FROM (
                SELECT DISTINCT {bucket} AS bucket
                FROM {rows}
                WHERE {user} IS NOT NULL
                  AND {lacks_any}
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
                    own.busy := {wait}(own.buckets, own.busy);
                END IF;
                -- What is earned is awarded in any case; what is not, under a lock that another transaction has, is left to a
                -- pending check, as that transaction may be about to commit what is missing.
                SELECT array_agg({known_user}), array_agg(badge.code), array_agg({evidence}), array_agg(badge.earned)
                INTO own.users, own.codes, own.evidences, own.earned
                FROM {distinct_rows}
                CROSS JOIN LATERAL (SELECT {held} AS codes OFFSET 0) AS held
                CROSS JOIN LATERAL (
                    VALUES
{conditions}
                    OFFSET 0  -- or a single badge's condition is copied to wherever its result is asked for
                ) AS badge (code, earned, leaves_check)
                -- Who is in none of the buckets has lost a badge since the statement before.
                WHERE badge.earned
                   OR (NOT badge.earned
                       AND (badge.leaves_check OR {bucket} = ANY (own.busy) OR {bucket} <> ALL (own.buckets)));
                IF own.users IS NOT NULL THEN
                    PERFORM {record}(own.users, own.codes, own.evidences, own.earned);
                END IF;
                -- Whoever has the lock settles a few of the checks that were left because of it.
                IF own.has_checks THEN
                    PERFORM {settle}(array(SELECT unnest(own.buckets) EXCEPT SELECT unnest(own.busy)), 10);
                END IF;
            END IF;
