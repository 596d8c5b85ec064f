CREATE OR REPLACE FUNCTION {function}(
    tenant text,
    badge_code text,
    asks text,
    checked_user {key},
    checked_thing text,
    new_row jsonb,
    old_row jsonb,
    among_others boolean,
    OUT earned boolean,
    OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Evaluates the condition of one badge for one user, among the tables of a tenant.
-- Calls the function badges_check of the tenant's schema. Returns NULL for a tenant that is gone.
{origin}
DECLARE
    own CONSTANT text := format('%I.badges_check', tenant);
BEGIN
    -- Another role may have taken the schema over since.
    IF EXISTS (
        SELECT FROM pg_proc AS p
        WHERE p.oid = to_regproc(own) AND p.proowner = (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user))
    THEN
        EXECUTE format('SELECT c.earned, c.evidence FROM %s($1, $2, $3, $4, $5, $6, $7) AS c', own)
        INTO earned, evidence
        USING badge_code, asks, checked_user, checked_thing, new_row, old_row, among_others;
    END IF;
END
$badges$
