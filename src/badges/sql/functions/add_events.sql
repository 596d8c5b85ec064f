CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Trigger function: records {what} in the history.
-- Only what still holds is recorded: another trigger of the same statement may have undone the change that fired this
-- one. Then queues the events for delivery and wakes the listeners; quiet events are not delivered.
{origin}
DECLARE
    {declare_patience}
    -- What the functions that award and revoke say of their own work: cause, actor and reason.
    given CONSTANT jsonb := CASE WHEN coalesce(current_setting('badges.event', true), '') <> ''
                                 THEN {sealed}('event')::jsonb END;
    -- What the session says counts only if its role may itself write badges: otherwise any role whose writes earn or
    -- lose badges could falsify their history.
    is_heard CONSTANT boolean :=
        CASE WHEN concat(current_setting('badges.cause', true), current_setting('badges.quiet', true)) <> ''
             THEN has_table_privilege(
                 coalesce(nullif(current_setting('role'), 'none'), session_user), TG_RELID, 'INSERT, DELETE')
             ELSE false END;
    given_cause CONSTANT text := coalesce(
        given ->> 'cause', nullif(CASE WHEN is_heard THEN current_setting('badges.cause', true) END, ''));
    merged_user text;
    is_news boolean;
BEGIN
    IF {is_rewriting} THEN
        IF TG_OP = 'UPDATE' THEN
            RETURN NULL;  -- badges_erase and badges_merge change badges and their events alike
        END IF;
        merged_user := {sealed}('rewriting');
    END IF;
    {limit_patience}
    WITH event AS (
        INSERT INTO {events} (
            user_id, code, thing, kind, cause, evidence, rule, actor, reason, quiet)
        SELECT found.user_id, found.code, found.thing, found.kind,
               -- The cause: by an award's evidence, or else as set for this transaction.
               coalesce(
                   CASE found.operation WHEN 'award_badges' THEN found.operation
                   ELSE found.operation || coalesce(' on ' || (found.evidence ->> 'table'), '')
                       || CASE given ->> 'cause' WHEN 'settled' THEN ', settled' ELSE '' END
                   END,
                   given_cause, found.cause, 'sql'),
               found.evidence,
               coalesce((SELECT d.rule FROM {definitions} AS d WHERE d.code = found.code), ''),
               -- An award by a condition is not the work of the actor of a manual award that made it true.
               CASE WHEN found.operation IS NULL THEN coalesce(given ->> 'actor', '') ELSE '' END,
               CASE WHEN found.operation IS NULL THEN coalesce(given ->> 'reason', '') ELSE '' END,
               is_heard AND coalesce(current_setting('badges.quiet', true), '') = 'on'
        FROM (
            SELECT happened.*,
                   -- Evidence that loaddata loads belongs to an earlier award.
                   CASE WHEN happened.cause IS NULL AND given_cause IS DISTINCT FROM 'loaddata'
                        THEN happened.evidence ->> 'operation' END AS operation
            FROM (
                {found}
            ) AS happened
        ) AS found
        WHERE found.user_id::text IS DISTINCT FROM merged_user AND (found.kind = 'awarded') = (
                  (SELECT true FROM {badges} AS b
                   WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  ) IS NOT NULL)
          -- The history of a user who is being deleted is deleted as well. An award may precede its user, where that
          -- foreign key is deferred.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM {users} AS u WHERE u.{user_key} = found.user_id{key_share}) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    )
    {delivery}
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND {notify} THEN
        PERFORM pg_notify('badges', '');
    END IF;
    {restore_patience}
    RETURN NULL;
END
$badges$
