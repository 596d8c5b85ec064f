-- Writes an event for each of these badges. Without a cause, an award's evidence tells it. Only for what is so now, as another
-- trigger of the same statement may have taken away again what had just come, or brought it back. Then leaves them to the
-- listeners, and wakes those; what is quiet is told to nobody.
CREATE OR REPLACE FUNCTION {function}(event_kind text, event_cause text, users {key}[], codes text[], things text[], evidences jsonb[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
DECLARE
    -- Set by whoever knows, for its transaction; a function that sets it puts it back at its end.
    told text := nullif(current_setting('badges.cause', true), '');
    is_quiet CONSTANT boolean := coalesce(current_setting('badges.quiet', true), '') = 'on';
    is_patient CONSTANT boolean := event_kind = 'revoked' AND current_setting('lock_timeout') = '0';
    written uuid[];
    written_users {key}[];
    written_at timestamptz[];
BEGIN
    IF is_patient THEN
        -- Whoever deletes the user has its row and wants the badge, we the other way round: that would be a deadlock, and
        -- the deletion might be its victim. So we give up before PostgreSQL looks for one.
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    WITH event AS (
        INSERT INTO {events} (user_id, code, thing, kind, cause, evidence, rule, actor, reason, quiet)
        SELECT found.user_id, found.code, found.thing, event_kind,
               coalesce(
                   CASE found.operation WHEN 'award_badges' THEN found.operation
                   ELSE found.operation || coalesce(' on ' || (found.evidence ->> 'table'), '')
                       || CASE told WHEN 'settled' THEN ', settled' ELSE '' END
                   END,
                   told, event_cause, 'sql'),
               found.evidence,
               coalesce((SELECT d.rule FROM {definitions} AS d WHERE d.code = found.code), ''),
               -- What a condition has awarded on the way is not the work of whoever awarded or revoked by hand.
               CASE WHEN found.operation IS NULL THEN coalesce(current_setting('badges.actor', true), '') ELSE '' END,
               CASE WHEN found.operation IS NULL THEN coalesce(current_setting('badges.reason', true), '') ELSE '' END,
               is_quiet
        FROM (
            SELECT each.user_id, each.code, each.thing, each.evidence,
                   -- The evidence that loaddata brings along is of an earlier award.
                   CASE WHEN event_cause IS NULL AND told IS DISTINCT FROM 'loaddata' THEN each.evidence ->> 'operation' END AS operation
            FROM unnest(users, codes, things, evidences) AS each (user_id, code, thing, evidence)
        ) AS found
        WHERE (event_kind = 'awarded')
              = ((SELECT true FROM {badges} AS b
                  WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing) IS NOT NULL)
          -- A user who is being deleted takes the history along. A badge may come before its user where that is checked later.
          AND (event_kind = 'awarded'
               OR (SELECT true FROM {users} AS u WHERE u.{user_key} = found.user_id) IS NOT NULL)
        RETURNING id, user_id, at
    )
    SELECT array_agg(event.id), array_agg(event.user_id), array_agg(event.at) INTO written, written_users, written_at FROM event;
    IF written IS NOT NULL AND NOT is_quiet THEN
        IF {signals} THEN
            INSERT INTO {deliveries} (event_id, user_id, at)
            SELECT each.event_id, each.user_id, each.at
            FROM unnest(written, written_users, written_at) AS each (event_id, user_id, at);
        END IF;
        IF {notify} THEN
            PERFORM pg_notify('badges', '');
        END IF;
    END IF;
    IF is_patient THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
END
$badges$
