-- Awards a badge by hand; tells whether the user lacked it. Who does it, and why, goes into the history.
CREATE OR REPLACE FUNCTION {function}(awarded_user {key}, awarded_code text, evidence jsonb DEFAULT NULL::jsonb, actor text DEFAULT ''::text, reason text DEFAULT ''::text)
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
    INSERT INTO {badges} (user_id, code, evidence) VALUES (awarded_user, awarded_code, evidence) ON CONFLICT DO NOTHING;
    has_changed := FOUND;
    PERFORM set_config('badges.cause', coalesce(told[1], ''), true), set_config('badges.actor', coalesce(told[2], ''), true),
            set_config('badges.reason', coalesce(told[3], ''), true);
    RETURN has_changed;
END
$badges$
