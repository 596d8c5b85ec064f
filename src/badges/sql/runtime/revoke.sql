CREATE OR REPLACE FUNCTION {function}(
    revoked_user {key},
    revoked_code text,
    actor text DEFAULT ''::text,
    reason text DEFAULT ''::text,
    revoked_thing text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Revokes a badge manually and returns whether the user held it.
-- The actor and the reason are recorded in the history. The next write that meets the condition awards it again.
{origin}
DECLARE
    -- Restored at the end, as an award or revocation may be the work of a condition that fires another one.
    previous_event CONSTANT text := current_setting('badges.event', true);
    has_changed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    PERFORM {seal}(
        'event', jsonb_build_object('cause', 'by hand', 'actor', actor, 'reason', reason)::text);
    -- Settling the pending checks of earlier writes would award the badge again. They are found by user and code, as
    -- their bucket may date from another BADGES_BUCKETS.
    -- Checks that an open transaction shares are left: what it has written is not seen here either.
    DELETE FROM {pending} AS p
    WHERE p.id IN (
        SELECT p.id FROM {pending} AS p
        WHERE p.user_id IN (
                SELECT revoked_user
                UNION ALL
                SELECT f.former_key::{key} FROM {former_keys} AS f
                WHERE f.user_key = revoked_user::text)
          AND p.code = revoked_code AND p.thing = revoked_thing
        FOR UPDATE SKIP LOCKED);
    DELETE FROM {badges} AS b
    WHERE b.user_id = revoked_user AND b.code = revoked_code AND b.thing = revoked_thing;
    has_changed := FOUND;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
    RETURN has_changed;
END
$badges$
