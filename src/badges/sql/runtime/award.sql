CREATE OR REPLACE FUNCTION {function}(
    awarded_user {key},
    awarded_code text,
    evidence jsonb DEFAULT NULL::jsonb,
    actor text DEFAULT ''::text,
    reason text DEFAULT ''::text,
    awarded_thing text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = {time_zone}
SET IntervalStyle = 'postgres'
AS $badges$
-- Awards a badge manually and returns whether the user lacked it.
-- The actor and the reason are recorded in the history. A manual award is never revoked by the badge's condition. The
-- subject of a badge with "per" is awarded_thing.
{origin}
DECLARE
    -- Restored at the end, as an award or revocation may be the work of a condition that fires another one.
    previous_event CONSTANT text := current_setting('badges.event', true);
    has_changed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    PERFORM {seal}(
        'event', jsonb_build_object('cause', 'by hand', 'actor', actor, 'reason', reason)::text);
    DELETE FROM {badges} AS b
    WHERE b.user_id = awarded_user AND b.code COLLATE "C" = awarded_code AND b.thing = awarded_thing
      AND b.expires_at <= statement_timestamp();
    PERFORM {check_keys_at_once}();
    INSERT INTO {badges} (user_id, code, thing, evidence, by_hand, expires_at)
    VALUES (
        awarded_user, awarded_code, awarded_thing, evidence, true,
        (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
         FROM {definitions} AS d WHERE d.code = awarded_code))
    ON CONFLICT DO NOTHING;
    has_changed := FOUND;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
    RETURN has_changed;
END
$badges$
