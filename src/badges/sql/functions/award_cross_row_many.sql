            -- Users who lack a badge are locked first, in a statement of its own: the next statement then sees what everybody who
            -- had the lock before has committed.
            SELECT array_agg(lacking.bucket),
                   array_agg(lacking.bucket) FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock({lock}, lacking.bucket)),
                   bool_or((SELECT true FROM {pending} AS p
                            WHERE p.bucket = lacking.bucket
                              AND p.noted_by IS DISTINCT FROM pg_current_xact_id_if_assigned()::text
                            LIMIT 1))
            INTO own.buckets, own.busy, own.has_checks
            FROM (
                SELECT DISTINCT {bucket_of_each} AS bucket
                FROM (SELECT DISTINCT {user} AS user_id, {thing} AS thing FROM {rows} WHERE {user} IS NOT NULL) AS each
                WHERE {is_wanted}
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed'
                   OR pg_catalog.pg_trigger_depth() > {deepest}
                THEN
                    own.busy := {wait}(own.buckets, own.busy);
                END IF;
                -- What is earned is awarded in any case; what is not, under a lock that another transaction has, is left to a
                -- pending check, as that transaction may be about to commit what is missing. Who is in none of the buckets has
                -- lost a badge since the statement before.
                SELECT array_agg({known_user}), array_agg({thing}), array_agg(badge.code), array_agg({evidence}),
                       array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM {distinct_rows}
                CROSS JOIN LATERAL (SELECT {held} AS codes OFFSET 0) AS badges_held{shared}
                CROSS JOIN LATERAL (
                    VALUES
{conditions}
                    OFFSET 0  -- or a single badge's condition is copied to wherever its result is asked for
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT {bucket} = ANY (own.busy) OR {bucket} <> ALL (own.buckets) AS is_busy
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'take back'
                    WHERE NOT badge.earned AND badge.is_revocable AND badge.code = ANY (badges_held.codes) AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict)
                WHERE {thing} IS NOT NULL;
                IF own.users IS NOT NULL THEN
                    PERFORM {record}(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
                -- Whoever has the lock settles a few of the checks that were left because of it.
                IF own.has_checks THEN
                    PERFORM {settle}(array(SELECT unnest(own.buckets) EXCEPT SELECT unnest(own.busy)), 10);
                END IF;
            END IF;
