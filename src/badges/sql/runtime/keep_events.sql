CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Trigger function: rejects changes of recorded events, as the history is append-only.
-- An update that changes nothing passes: loading the same dump twice is allowed. So does the foreign key that follows a
-- user to another key; pending checks and deliveries, which have none, are then moved as well.
{origin}
DECLARE
    kept {events};
BEGIN
    kept := NEW;
    kept.user_id := OLD.user_id;
    IF kept IS NOT DISTINCT FROM OLD
       AND (SELECT true FROM {users} AS u WHERE u.{user_key} = OLD.user_id) IS NULL
    THEN
        UPDATE {deliveries} AS d SET user_id = NEW.user_id WHERE d.event_id = NEW.id;
        UPDATE {pending} AS p
        SET user_id = NEW.user_id, bucket = {bucket}
        WHERE p.id IN (
            SELECT p.id FROM {pending} AS p
            WHERE p.user_id = OLD.user_id
            FOR UPDATE SKIP LOCKED);
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
