CREATE OR REPLACE FUNCTION {function}(left_under text, moved_to text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = {timeout}
AS $badges$
-- Moves the pending checks of a user whose key changes, and notes the former key.
-- Other transactions may leave further checks under it until they end: badges_follow() moves these. Badges and events
-- follow by their foreign keys. Never fails, save with a serialization failure.
{origin}
BEGIN
    BEGIN
        -- With the keys before that, which are still known as well.
        INSERT INTO {former_keys} (former_key, user_key)
        SELECT f.former_key, moved_to
        FROM {former_keys} AS f
        WHERE f.user_key = left_under
        UNION
        SELECT left_under, moved_to;
        BEGIN
            PERFORM {move_checks}(left_under::{key}, moved_to::{key});
        EXCEPTION WHEN serialization_failure OR lock_not_available THEN
            -- One of them has been settled since the snapshot, or the table is locked. The others are moved later.
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
        END;
    EXCEPTION WHEN OTHERS THEN
        -- The change of the key succeeds in any case. award_badges finds what a check would have.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        RAISE WARNING 'pending checks do not follow user % to key %: %', left_under, moved_to, SQLERRM;
    END;
END
$badges$
