CREATE OR REPLACE FUNCTION {function}()
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = {timeout}
AS $badges$
-- Moves the pending checks of users whose key has changed: those that other transactions left under a former key.
-- A former key is forgotten once all transactions have ended that ran beside the change, and no check is left under it.
-- Does nothing above READ COMMITTED.
{origin}
DECLARE
    former record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    BEGIN
        -- All that run now, and those that began since the change, are before this transaction, if it begins to write
        -- here and now: their ids are lower than its own.
        IF pg_current_xact_id_if_assigned() IS NULL THEN
            UPDATE {former_keys} AS f
            SET known_before = pg_current_xact_id()::text::bigint
            WHERE f.ctid = ANY (ARRAY(
                SELECT f.ctid FROM {former_keys} AS f
                WHERE f.known_before IS NULL
                FOR UPDATE SKIP LOCKED));
        END IF;
        FOR former IN
            SELECT f.former_key::{key} AS former_key, f.user_key::{key} AS user_key
            FROM {former_keys} AS f
            ORDER BY f.at
        LOOP
            -- A key that another user has by now is that user's.
            IF EXISTS (SELECT FROM {pending} AS p WHERE p.user_id = former.former_key)
               AND NOT EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = former.former_key)
            THEN
                PERFORM {move_checks}(former.former_key, former.user_key);
            END IF;
        END LOOP;
        -- In one snapshot: whatever those transactions have left is visible in it.
        DELETE FROM {former_keys} AS f
        WHERE f.ctid = ANY (ARRAY(
            SELECT f.ctid FROM {former_keys} AS f
            WHERE f.known_before <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
              AND NOT EXISTS (
                  SELECT FROM {pending} AS p
                  WHERE p.user_id = f.former_key::{key}
                    AND NOT EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = f.former_key::{key}))
            FOR UPDATE SKIP LOCKED));
    EXCEPTION WHEN lock_not_available THEN
        NULL;  -- one of the tables is locked: the next call does it
    END;
END
$badges$
