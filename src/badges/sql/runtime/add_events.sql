-- Writes an event for each of these badges. Without a cause, an award's evidence tells it. Only for what is so now, as another
-- trigger of the same statement may have taken away again what had just come, or brought it back.
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
    place integer;
BEGIN
    INSERT INTO {events} (user_id, code, thing, kind, cause, evidence, rule, actor, reason)
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
           CASE WHEN found.operation IS NULL THEN coalesce(current_setting('badges.reason', true), '') ELSE '' END
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
           OR (SELECT true FROM {users} AS u WHERE u.{user_key} = found.user_id) IS NOT NULL);
EXCEPTION WHEN foreign_key_violation THEN
    -- Another transaction has deleted one of the users meanwhile.
    IF event_kind = 'awarded' THEN
        RAISE;
    ELSIF cardinality(users) = 1 THEN
        RETURN;
    END IF;
    FOR place IN 1 .. cardinality(users) LOOP
        PERFORM {add_events}(
            event_kind, event_cause, users[place:place], codes[place:place], things[place:place], evidences[place:place]);
    END LOOP;
END
$badges$
