-- Awards a badge by hand; tells whether the user lacked it. Who does it, and why, goes into the history.
CREATE OR REPLACE FUNCTION {function}(awarded_user {key}, awarded_code text, evidence jsonb DEFAULT NULL::jsonb, actor text DEFAULT ''::text, reason text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET badges.cause = 'by hand'
SET badges.actor = ''
SET badges.reason = ''
AS $badges$
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    PERFORM set_config('badges.actor', coalesce(actor, ''), true), set_config('badges.reason', coalesce(reason, ''), true);
    INSERT INTO {badges} (user_id, code, evidence) VALUES (awarded_user, awarded_code, evidence) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$badges$
