CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Trigger function: rejects changes of recorded events, as the history is append-only.
-- An update that changes nothing passes: loading the same dump twice is allowed.
{origin}
BEGIN
    IF OLD IS DISTINCT FROM NEW THEN
        RAISE restrict_violation USING
            MESSAGE = 'events of badges are only added, never changed',
            HINT = 'Award or revoke the badge: that writes another event.';
    END IF;
    RETURN NULL;
END
$badges$
