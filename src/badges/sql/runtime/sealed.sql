CREATE OR REPLACE FUNCTION {function}(kind text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = {timeout}
AS $badges$
-- Returns what badges_seal has remembered in this transaction; NULL if that is nothing, or was set by the session.
{origin}
DECLARE
    signed CONSTANT text := current_setting('badges.' || kind, true);
    content CONSTANT text := substr(signed, 65);
BEGIN
    IF coalesce(signed, '') = '' THEN
        RETURN NULL;
    END IF;
    BEGIN
        RETURN (
            SELECT content
            FROM {secret} AS s
            WHERE left(signed, 64) = encode(
                sha256(convert_to(concat_ws('|', s.secret, kind, pg_current_xact_id(), content), 'UTF8')), 'hex'));
    EXCEPTION WHEN insufficient_privilege OR undefined_table OR lock_not_available THEN
        RETURN NULL;
    END;
END
$badges$
