-- Behind a trigger on the badges: writes {what} into the history. Without a cause, an award's evidence tells it. Only for what
-- is so now, as another trigger of the same statement may have taken away again what had just come, or brought it back. Then
-- leaves the events to the listeners, and wakes those; what is quiet is told to nobody.
CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
DECLARE
    is_patient CONSTANT boolean := current_setting('lock_timeout') = '0' AND {is_revoked};
    is_news boolean;
BEGIN
    IF is_patient THEN
        -- Whoever deletes the user has its row and wants the badge, we the other way round: that would be a deadlock, and
        -- the deletion might be its victim. So we give up before PostgreSQL looks for one.
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    WITH event AS (
        INSERT INTO {events} (user_id, code, thing, kind, cause, evidence, rule, actor, reason, quiet)
        SELECT found.user_id, found.code, found.thing, found.kind,
               coalesce(
                   CASE found.operation WHEN 'award_badges' THEN found.operation
                   ELSE found.operation || coalesce(' on ' || (found.evidence ->> 'table'), '')
                       || CASE found.told WHEN 'settled' THEN ', settled' ELSE '' END
                   END,
                   found.told, found.cause, 'sql'),
               found.evidence,
               coalesce((SELECT d.rule FROM {definitions} AS d WHERE d.code = found.code), ''),
               -- What a condition has awarded on the way is not the work of whoever awarded or revoked by hand.
               CASE WHEN found.operation IS NULL THEN coalesce(current_setting('badges.actor', true), '') ELSE '' END,
               CASE WHEN found.operation IS NULL THEN coalesce(current_setting('badges.reason', true), '') ELSE '' END,
               coalesce(current_setting('badges.quiet', true), '') = 'on'
        FROM (
            SELECT happened.*,
                   -- The evidence that loaddata brings along is of an earlier award.
                   CASE WHEN happened.cause IS NULL AND happened.told IS DISTINCT FROM 'loaddata'
                        THEN happened.evidence ->> 'operation' END AS operation
            FROM (
                -- Set by whoever knows, for its transaction; a function that sets it puts it back at its end.
                SELECT each.*, nullif(current_setting('badges.cause', true), '') AS told
                FROM (
{found}                ) AS each
            ) AS happened
        ) AS found
        WHERE (found.kind = 'awarded')
              = ((SELECT true FROM {badges} AS b
                  WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing) IS NOT NULL)
          -- A user who is being deleted takes the history along. A badge may come before its user where that is checked later.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM {users} AS u WHERE u.{user_key} = found.user_id) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    ){delivery}
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND {notify} THEN
        PERFORM pg_notify('badges', '');
    END IF;
    IF is_patient THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    RETURN NULL;
END
$badges$
