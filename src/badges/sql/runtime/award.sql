-- Awards a badge by hand; tells whether the user lacked it.
CREATE OR REPLACE FUNCTION {function}(awarded_user {key}, awarded_code text, evidence jsonb DEFAULT NULL::jsonb)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    INSERT INTO {badges} (user_id, code, evidence) VALUES (awarded_user, awarded_code, evidence) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$badges$
