-- Takes a badge away by hand; tells whether the user held it. The next write that meets its condition awards it again.
-- Who does it, and why, goes into the history.
CREATE OR REPLACE FUNCTION {function}(revoked_user {key}, revoked_code text, actor text DEFAULT ''::text, reason text DEFAULT ''::text, revoked_thing text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
DECLARE
    -- Put back at the end, as this may run within what somebody else has told the cause of.
    told CONSTANT text[] := ARRAY[
        current_setting('badges.cause', true), current_setting('badges.actor', true), current_setting('badges.reason', true)];
    has_changed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    PERFORM set_config('badges.cause', 'by hand', true), set_config('badges.actor', coalesce(actor, ''), true),
            set_config('badges.reason', coalesce(reason, ''), true);
    -- Settling the checks of earlier writes would award it again. (Their bucket may be of another number of buckets.)
    DELETE FROM {pending} AS p WHERE p.user_id = revoked_user AND p.code = revoked_code AND p.thing = revoked_thing;
    DELETE FROM {badges} AS b WHERE b.user_id = revoked_user AND b.code = revoked_code AND b.thing = revoked_thing;
    has_changed := FOUND;
    PERFORM set_config('badges.cause', coalesce(told[1], ''), true), set_config('badges.actor', coalesce(told[2], ''), true),
            set_config('badges.reason', coalesce(told[3], ''), true);
    RETURN has_changed;
END
$badges$
