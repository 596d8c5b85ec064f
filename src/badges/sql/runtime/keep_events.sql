-- Behind the trigger that keeps events as they were written. Loading a dump a second time changes nothing, and may.
CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
BEGIN
    IF OLD IS DISTINCT FROM NEW THEN
        RAISE restrict_violation USING
            MESSAGE = 'events of badges are only added, never changed',
            HINT = 'Award or revoke the badge: that writes another event.';
    END IF;
    RETURN NULL;
END
$badges$
