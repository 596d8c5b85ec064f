-- Settles pending checks, of these buckets or of all: looks again under the lock, in a snapshot that was taken after it.
-- A check goes only after that; it stays while another transaction, not yet ended, keeps the badge or the lock.
CREATE OR REPLACE FUNCTION {function}(only_buckets integer[], most integer, OUT settled integer, OUT kept integer)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = {timeout}
AS $badges$
DECLARE
    pending record;
    found record;
BEGIN
    settled := 0;
    kept := 0;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    IF current_setting('badges.patience', true) = 'spent' THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    FOR pending IN
        SELECT p.id, p.user_id, p.code, p.evidence
        FROM {pending} AS p
        WHERE (only_buckets IS NULL OR p.bucket = ANY (only_buckets))
          -- What this transaction left for those that run beside it must outlast it.
          AND p.noted_by IS DISTINCT FROM pg_current_xact_id_if_assigned()::text
        ORDER BY p.failed_at NULLS FIRST, p.noted_at
        LIMIT most
        FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            IF NOT pg_try_advisory_xact_lock({lock}, {bucket}) THEN
                kept := kept + 1;
                CONTINUE;
            END IF;
            IF NOT EXISTS (SELECT FROM {badges} AS b WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code) THEN
                SELECT * INTO found
                FROM {check}(
                    pending.code, pending.evidence ->> 'operation', pending.user_id,
                    pending.evidence -> 'new', pending.evidence -> 'old', true);
                IF found.earned THEN
                    INSERT INTO {badges} (user_id, code, evidence)
                    SELECT u.{user_key}, pending.code, found.evidence
                    FROM {users} AS u
                    WHERE u.{user_key} = pending.user_id
                    ON CONFLICT DO NOTHING;
                END IF;
            END IF;
            DELETE FROM {pending} AS p WHERE p.id = pending.id;
            settled := settled + 1;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR foreign_key_violation THEN
                kept := kept + 1;
                -- The transaction waits in vain once, not for each of its checks.
                PERFORM set_config('badges.patience', 'spent', true), set_config('lock_timeout', '1ms', true);
            WHEN undefined_column THEN
                -- The condition has changed since, or its table: what was kept will never do.
                DELETE FROM {pending} AS p WHERE p.id = pending.id;
                PERFORM {note_failure}(pending.code, SQLSTATE, SQLERRM);
                settled := settled + 1;
            WHEN OTHERS OR assert_failure THEN
                kept := kept + 1;
                UPDATE {pending} AS p SET failed_at = clock_timestamp() WHERE p.id = pending.id;
                PERFORM {note_failure}(pending.code, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$badges$
