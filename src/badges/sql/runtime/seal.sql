CREATE OR REPLACE FUNCTION {function}(kind text, content text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = {timeout}
AS $badges$
-- Remembers something until the transaction ends, in the setting badges.<kind>.
-- Any session can set such a setting. So the content has a signature in front, which needs the secret and holds for
-- this transaction only: badges_sealed ignores everything else.
{origin}
BEGIN
    BEGIN
        PERFORM set_config(
            'badges.' || kind,
            encode(sha256(convert_to(concat_ws('|', s.secret, kind, pg_current_xact_id(), content), 'UTF8')), 'hex')
                || content,
            true)
        FROM {secret} AS s;
    EXCEPTION WHEN insufficient_privilege OR undefined_table OR lock_not_available THEN
        NULL;  -- without the secret nothing is remembered: the cause of a revocation is then "sql"
    END;
END
$badges$
