CREATE OR REPLACE FUNCTION {function}(
    users {key}[],
    things text[],
    codes text[],
    evidences jsonb[],
    verdicts text[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '1ms'
AS $badges$
-- Inserts the awards of a statement that could not be inserted together: bucket by bucket, then row by row.
-- Returns the positions of the awards that are still missing because another open transaction blocks them.
{origin}
DECLARE
    part integer[];
    place integer;
    missing integer[];
    vain integer := 0;
BEGIN
    {check_keys}
    FOR part IN
        SELECT array_agg(found.place)
        FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
        WHERE found.verdict = 'award' AND found.user_id IS NOT NULL
        GROUP BY {bucket}
    LOOP
        -- After ten buckets without success the rest is left as well: the milliseconds add up.
        IF vain = 10 THEN
            missing := missing || part;
            CONTINUE;
        END IF;
        BEGIN
            IF EXISTS (
                SELECT FROM unnest(part) AS each (place)
                WHERE (
                    SELECT true FROM {users} AS u
                    WHERE u.{user_key} = users[each.place]{key_share}) IS NULL)
            THEN
                RAISE foreign_key_violation;
            END IF;
            DELETE FROM {badges} AS b
            USING unnest(part) AS each (place)
            WHERE b.user_id = users[each.place] AND b.code COLLATE "C" = codes[each.place]
              AND b.thing = things[each.place] AND b.expires_at <= statement_timestamp();
            INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
            SELECT found.user_id, found.code, found.thing, {shortened}(found.evidence),
                   {expires_at}
            FROM unnest(part) AS each (place)
            CROSS JOIN LATERAL (
                SELECT users[each.place], codes[each.place], things[each.place], evidences[each.place]
            ) AS found (user_id, code, thing, evidence)
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                missing := missing || part;
                vain := vain + 1;
            ELSE
                FOREACH place IN ARRAY part LOOP
                    BEGIN
                        IF (SELECT true FROM {users} AS u
                            WHERE u.{user_key} = users[place]{key_share}) IS NULL
                        THEN
                            RAISE foreign_key_violation;
                        END IF;
                        DELETE FROM {badges} AS b
                        WHERE b.user_id = users[place] AND b.code COLLATE "C" = codes[place] AND b.thing = things[place]
                          AND b.expires_at <= statement_timestamp();
                        INSERT INTO {badges} (user_id, code, thing, evidence, expires_at)
                        SELECT found.user_id, found.code, found.thing, {shortened}(found.evidence),
                               {expires_at}
                        FROM (VALUES (users[place], codes[place], things[place], evidences[place]))
                            AS found (user_id, code, thing, evidence)
                        ON CONFLICT DO NOTHING;
                    EXCEPTION WHEN OTHERS THEN
                        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                            RAISE;
                        ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') OR SQLSTATE = '23503' THEN
                            -- A foreign key: the user or the definition is not there yet, or is deleted meanwhile, or
                            -- is newer than the snapshot. The settler sees which.
                            missing := missing || place;
                        ELSE
                            PERFORM {note_failure}(
                                codes[place], SQLSTATE, SQLERRM, 1, coalesce(evidences[place] ->> 'tenant', ''));
                        END IF;
                    END;
                END LOOP;
            END IF;
        END;
    END LOOP;
    RETURN missing;
END
$badges$
