CREATE OR REPLACE FUNCTION {function}(
    from_user {key},
    to_user {key},
    actor text DEFAULT ''::text,
    reason text DEFAULT ''::text)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Gives the badges of one user, their history and their pending checks to another; returns the number of badges.
-- Of a badge that both hold, the earlier award is kept, with the later end; a manual award stays manual. The history
-- has a quiet event for each of these badges, with the cause "merged".
{origin}
DECLARE
    place integer;
    number integer;
    about_codes text[];
    about_things text[];
BEGIN
    IF from_user = to_user THEN
        RAISE invalid_parameter_value USING MESSAGE = format('user %s cannot be merged with itself', from_user);
    END IF;
    IF NOT EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = to_user) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('there is no user %s', to_user), CONSTRAINT = 'badges_badge_user_id_fk';
    END IF;
    -- Waits for the transactions that award a badge to either of them; in one order, as another merge may as well.
    FOR place IN
        SELECT DISTINCT {bucket}
        FROM unnest(ARRAY[from_user, to_user]) AS found (user_id)
        ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock({lock}, place);
    END LOOP;
    PERFORM FROM {users} AS u WHERE u.{user_key} = from_user{until_unused};
    IF current_setting('transaction_isolation') = 'read committed' THEN
        -- Checks of other transactions are about the rows of that user, so they are settled before.
        PERFORM {settle_locked}(
            ARRAY(
                SELECT p.id FROM {pending} AS p
                WHERE p.user_id = from_user AND p.noted_by < pg_current_xact_id()::text::bigint
                FOR UPDATE SKIP LOCKED),
            2147483647);
    END IF;
    DELETE FROM {badges} AS b
    WHERE b.user_id IN (from_user, to_user) AND b.expires_at <= statement_timestamp();
    number := (SELECT count(*) FROM {badges} AS b WHERE b.user_id = from_user);
    SELECT array_agg(about.code), array_agg(about.thing) INTO about_codes, about_things
    FROM (
        SELECT b.code COLLATE "C" AS code, b.thing FROM {badges} AS b WHERE b.user_id = from_user
        UNION
        SELECT e.code COLLATE "C", e.thing FROM {events} AS e WHERE e.user_id = from_user
    ) AS about;
    -- The triggers on badges and events let these changes pass, and write no events of their own for them.
    PERFORM {seal}('rewriting', from_user::text);
    -- One statement, as badges may be awarded for badges: triggers on them see what both hold in the end.
    WITH double AS (
        SELECT own.id AS own_id, other.id AS kept_id, own.awarded_at, own.evidence, own.by_hand, own.expires_at,
               own.awarded_at IS NULL OR own.awarded_at < other.awarded_at AS is_earlier
        FROM {badges} AS own
        JOIN {badges} AS other
            ON other.user_id = to_user AND other.code COLLATE "C" = own.code AND other.thing = own.thing
        WHERE own.user_id = from_user
    ), folded AS (
        UPDATE {badges} AS kept
        SET awarded_at = CASE WHEN d.is_earlier THEN d.awarded_at ELSE kept.awarded_at END,
            evidence = CASE WHEN d.is_earlier THEN d.evidence ELSE kept.evidence END,
            by_hand = d.by_hand OR kept.by_hand,
            expires_at = CASE WHEN d.expires_at > kept.expires_at OR d.expires_at IS NULL
                              THEN d.expires_at ELSE kept.expires_at END
        FROM double AS d
        WHERE kept.id = d.kept_id
    ), dropped AS (
        DELETE FROM {badges} AS b USING double AS d WHERE b.id = d.own_id
    )
    UPDATE {badges} AS b
    SET user_id = to_user
    WHERE b.user_id = from_user AND NOT EXISTS (SELECT FROM double AS d WHERE d.own_id = b.id);
    UPDATE {events} AS e SET user_id = to_user WHERE e.user_id = from_user;
    PERFORM set_config('badges.rewriting', '', true);
    UPDATE {deliveries} AS d SET user_id = to_user WHERE d.user_id = from_user;
    -- The last event of a badge says whether it is held.
    INSERT INTO {events} (user_id, code, thing, kind, cause, evidence, rule, actor, reason, quiet)
    SELECT b.user_id, b.code, b.thing, 'awarded', 'merged', b.evidence,
           coalesce((SELECT d.rule FROM {definitions} AS d WHERE d.code = b.code), ''),
           badges_merge.actor, coalesce(nullif(badges_merge.reason, ''), 'from user ' || from_user), true
    FROM unnest(about_codes, about_things) AS about (code, thing)
    JOIN {badges} AS b
        ON b.user_id = to_user AND b.code COLLATE "C" = about.code AND b.thing = about.thing;
    -- Checks that this transaction has left, or whose condition failed, are about rows of either by now.
    INSERT INTO {pending} (bucket, user_id, code, thing, evidence)
    SELECT DISTINCT {bucket},
           found.user_id, found.code, found.thing, '{{"operation": "award_badges", "asks": "state"}}'::jsonb
    FROM (
        SELECT to_user AS user_id, p.code, p.thing FROM {pending} AS p WHERE p.user_id = from_user
    ) AS found
    ON CONFLICT DO NOTHING;
    PERFORM {move_checks}(from_user, to_user);
    RETURN number;
END
$badges$
