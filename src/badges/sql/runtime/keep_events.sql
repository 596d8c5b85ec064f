CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = {timeout}
AS $badges$
-- Trigger function: rejects changes of recorded events, as the history is append-only.
-- An update that changes nothing passes: loading the same dump twice is allowed. So does the foreign key that follows a
-- user to another key; deliveries, which have none, are then moved as well. And so do the erasure of what events say
-- about a user, and the merge of two users.
{origin}
DECLARE
    kept {events};
BEGIN
    IF {is_rewriting} THEN
        RETURN NULL;  -- badges_erase blanks them, badges_merge gives them to another user
    END IF;
    kept := NEW;
    kept.user_id := OLD.user_id;
    IF kept IS NOT DISTINCT FROM OLD
       AND (SELECT true FROM {users} AS u WHERE u.{user_key} = OLD.user_id) IS NULL
    THEN
        BEGIN
            UPDATE {deliveries} AS d SET user_id = NEW.user_id WHERE d.event_id = NEW.id;
        EXCEPTION WHEN OTHERS THEN
            -- The change of the key succeeds in any case.
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'deliveries did not follow user % to key %: %', OLD.user_id, NEW.user_id, SQLERRM;
        END;
        RETURN NULL;
    END IF;
    IF OLD IS DISTINCT FROM NEW THEN
        RAISE restrict_violation USING
            MESSAGE = 'events of badges are only added, never changed',
            HINT = 'Award or revoke the badge: that writes another event.';
    END IF;
    RETURN NULL;
END
$badges$
