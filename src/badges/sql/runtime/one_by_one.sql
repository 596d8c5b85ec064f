-- Looks at badges one by one for each changed row, after they could not be looked at together: the one whose condition
-- fails is noted and skipped, the others are awarded as ever.
CREATE OR REPLACE FUNCTION {function}(event text, users {key}[], news jsonb[], olds jsonb[], codes text[], cross_row boolean[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
DECLARE
    lacking record;
    found record;
BEGIN
    FOR lacking IN
        SELECT changed.user_id, changed.new, changed.old, badge.code, badge.is_cross_row
        FROM unnest(users, news, olds) AS changed (user_id, new, old)
        CROSS JOIN unnest(codes, cross_row) AS badge (code, is_cross_row)
        WHERE changed.user_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM {badges} AS b WHERE b.user_id = changed.user_id AND b.code COLLATE "C" = badge.code)
    LOOP
        BEGIN
            SELECT * INTO found FROM {check}(lacking.code, event, lacking.new, lacking.old);
            IF found.earned OR lacking.is_cross_row THEN
                -- What is not earned is left to a pending check: the locks were lost with the failed statement.
                PERFORM {record}(ARRAY[lacking.user_id], ARRAY[lacking.code], ARRAY[found.evidence], ARRAY[found.earned]);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                -- Not the condition's fault: a deadlock, a lock, a lack of memory. It is looked at again later.
                PERFORM {record}(
                    ARRAY[lacking.user_id], ARRAY[lacking.code],
                    ARRAY[jsonb_build_object('operation', event, 'new', lacking.new, 'old', lacking.old)], ARRAY[false]);
            ELSE
                PERFORM {note_failure}(lacking.code, SQLSTATE, SQLERRM);
            END IF;
        END;
    END LOOP;
END
$badges$
