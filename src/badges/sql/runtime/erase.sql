CREATE OR REPLACE FUNCTION {function}(
    erased_user {key},
    keeps_facts boolean DEFAULT true)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Erases what the badges of a user and their history say about that user; returns the number of badges and events.
-- Evidence, actors, reasons and subjects are blanked, and the evidence says when. The facts remain: which badge was
-- awarded or revoked at what time. Without keeps_facts, badges and events are deleted as well.
{origin}
DECLARE
    erased CONSTANT jsonb := jsonb_build_object('erased', statement_timestamp());
    changed integer;
BEGIN
    PERFORM pg_advisory_xact_lock({lock}, {bucket});
    -- They hold values of changed rows. award_badges finds the badges that they would have found.
    DELETE FROM {pending} AS p
    WHERE p.user_id IN (
        SELECT erased_user
        UNION ALL
        SELECT f.former_key::{key} FROM {former_keys} AS f WHERE f.user_key = erased_user::text);
    IF NOT keeps_facts THEN
        -- Before the first deletion, which writes events of its own.
        changed := (SELECT count(*) FROM {events} AS e WHERE e.user_id = erased_user)
                   + (SELECT count(*) FROM {badges} AS b WHERE b.user_id = erased_user);
        DELETE FROM {badges} AS b WHERE b.user_id = erased_user;
        DELETE FROM {deliveries} AS d WHERE d.user_id = erased_user;
        DELETE FROM {events} AS e WHERE e.user_id = erased_user;
        RETURN changed;
    END IF;
    -- The triggers on badges and events let these changes pass, and write no event of a move to another subject.
    PERFORM {seal}('rewriting', '');
    WITH subject AS MATERIALIZED (
        -- As many as there were, and the same for a badge and its events.
        SELECT s.code, s.thing, 'erased ' || gen_random_uuid() AS blank
        FROM (
            SELECT b.code COLLATE "C" AS code, b.thing FROM {badges} AS b WHERE b.user_id = erased_user
            UNION
            SELECT e.code COLLATE "C", e.thing FROM {events} AS e WHERE e.user_id = erased_user
        ) AS s
        WHERE s.thing <> ''
    ), history AS (
        UPDATE {events} AS e
        SET evidence = erased, actor = '', reason = '',
            thing = coalesce(
                (SELECT s.blank FROM subject AS s WHERE s.code = e.code COLLATE "C" AND s.thing = e.thing), '')
        WHERE e.user_id = erased_user
        RETURNING true
    ), held AS (
        UPDATE {badges} AS b
        SET evidence = erased || jsonb_strip_nulls(jsonb_build_object('tenant', b.evidence -> 'tenant')),
            thing = coalesce(
                (SELECT s.blank FROM subject AS s WHERE s.code = b.code COLLATE "C" AND s.thing = b.thing), '')
        WHERE b.user_id = erased_user
        RETURNING true
    )
    SELECT (SELECT count(*) FROM history) + (SELECT count(*) FROM held) INTO changed;
    PERFORM set_config('badges.rewriting', '', true);
    RETURN changed;
END
$badges$
