-- What `create_badge_triggers --sql` prints for example/badge.json on a database without badges.
-- Renewed by: BADGES_UPDATE_DOCS=1 python3 run.py test tests/test_docs.py

BEGIN;

-- add definition pionner: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('pionner', 'Pionner', '', '', '', 0, 1, false, '{}'::jsonb, 'age(NEW.date_joined) > interval ''1 year''', to_jsonb('{update}'::text[]), 'auth_user', 'id', '', NULL, '[]'::jsonb, '', false, true, '', '934499c6e815', NULL);

-- add definition collector: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('collector', 'Collector', '', '', '', 0, 2, false, '{}'::jsonb, 'count(id) >= 5 from dummy_sketch where user_id = NEW.user_id', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '48bcf3aac106', NULL);

-- add definition star: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('star', 'Star', '', '', '', 0, 3, false, '{}'::jsonb, 'hit_views > 1000 ', to_jsonb('{update}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '562c68756a5e', NULL);

-- add definition first-sketch: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('first-sketch', 'First sketch', 'Drew a first sketch.', 'Drawing', '', 1, 4, false, '{}'::jsonb, 'true', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '8c9399242c7a', NULL);

-- add definition prolific: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('prolific', 'Prolific', 'Has 25 sketches.', 'Drawing', '', 25, 5, false, '{}'::jsonb, 'count(*) >= 25 from dummy_sketch where user_id = NEW.user_id', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', 'e240a4ef27bc', NULL);

-- add definition viral: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('viral', 'Viral', 'A sketch got 500 views at once.', 'Fame', '', 50, 6, false, '{}'::jsonb, 'NEW.hit_views - OLD.hit_views >= 500', to_jsonb('{update}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', 'cfeb9e2b634c', NULL);

-- add definition clean-up: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('clean-up', 'Clean-up', 'Threw away a sketch that hardly anybody had seen.', 'Drawing', '', 1, 7, false, '{}'::jsonb, 'OLD.hit_views < 10', to_jsonb('{delete}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '11e17839a665', NULL);

-- add definition three-badges: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "rule", "retired_at") VALUES ('three-badges', 'Three badges', 'Holds three badges: one for the cabinet.', 'Badges', '', 10, 8, true, '{}'::jsonb, 'count(*) >= 3 from badges_badge where user_id = NEW.user_id', to_jsonb('{insert}'::text[]), 'badges_badge', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '706fc6bfbd46', NULL);

-- create function badges_wait: new
-- Waits a moment for the buckets that others hold; gives back those that it did not get.
CREATE OR REPLACE FUNCTION "public"."badges_wait"(buckets integer[], busy integer[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + '10ms';
    bucket integer;
BEGIN
    -- A snapshot that was taken before the lock does not show what others have committed meanwhile.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN buckets;
    END IF;
    -- A bulk statement never waits, and a transaction that has waited in vain does not wait again.
    IF cardinality(busy) > 16 OR current_setting('badges.patience', true) = 'spent' THEN
        RETURN busy;
    END IF;
    FOREACH bucket IN ARRAY coalesce(busy, '{}') LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock(1650549863, bucket);
            busy := nullif(array_remove(busy, bucket), '{}');
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM set_config('badges.patience', 'spent', true);
            RETURN busy;
        END;
        IF busy IS NULL THEN
            RETURN NULL;
        END IF;
        -- For the rest only what is left of the time; no time at all would mean for ever.
        PERFORM set_config('lock_timeout', greatest(1, ceil(1000 * extract(epoch FROM deadline - clock_timestamp()))) || 'ms', true);
    END LOOP;
    RETURN busy;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_wait" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "675b6322d11dc52f"}';
REVOKE ALL ON FUNCTION "public"."badges_wait" FROM PUBLIC;

-- create function badges_note_failure: new
-- Counts a failure in any row for it that nobody else is changing, or else in a row of its own: writers never queue here,
-- and there are no more rows than there were writers at once.
CREATE OR REPLACE FUNCTION "public"."badges_note_failure"(failed_code text, failed_sqlstate text, failed_message text, times integer DEFAULT 1)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '0'
AS $badges$
DECLARE
    noted jsonb := coalesce(nullif(current_setting('badges.noted', true), ''), '{}');
    kind text := failed_sqlstate || failed_code;
BEGIN
    -- A transaction notes the same failure a hundred times at most: each time it gets slower, and no wiser.
    IF (noted ->> kind)::integer >= 100 THEN
        RETURN;
    END IF;
    noted := noted || jsonb_build_object(kind, coalesce((noted ->> kind)::integer, 0) + 1);
    PERFORM set_config('badges.noted', noted::text, true);
    BEGIN
        UPDATE "public"."badges_failure"
        SET occurrences = occurrences + times, last_at = clock_timestamp(), message = failed_message
        WHERE id = (
            SELECT f.id FROM "public"."badges_failure" AS f
            WHERE f.code = failed_code AND f.sqlstate = failed_sqlstate
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN;
        END IF;
    EXCEPTION WHEN serialization_failure OR numeric_value_out_of_range THEN
        NULL;  -- somebody has counted since our snapshot, or the row is full
    END;
    INSERT INTO "public"."badges_failure" (code, sqlstate, message, occurrences)
    VALUES (failed_code, failed_sqlstate, failed_message, times);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_failure" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "1698e24dbf4ff3d2"}';
REVOKE ALL ON FUNCTION "public"."badges_note_failure" FROM PUBLIC;

-- create function badges_record_parts: new
-- Awards what could not be awarded as a whole: bucket by bucket, then row by row. Gives back the places of what is still
-- missing because another transaction, not yet ended, keeps it.
CREATE OR REPLACE FUNCTION "public"."badges_record_parts"(users integer[], codes text[], evidences jsonb[], earned boolean[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '1ms'
AS $badges$
DECLARE
    part integer[];
    place integer;
    missing integer[];
    vain integer := 0;
BEGIN
    FOR part IN
        SELECT array_agg(found.place)
        FROM unnest(users, earned) WITH ORDINALITY AS found (user_id, earned, place)
        WHERE found.earned
        GROUP BY (pg_catalog.hashtextextended(found.user_id::text, 0) & 1023)::integer
    LOOP
        -- The milliseconds add up, so the rest is left as well after ten of them.
        IF vain = 10 THEN
            missing := missing || part;
            CONTINUE;
        END IF;
        BEGIN
            INSERT INTO "public"."badges_badge" (user_id, code, evidence)
            SELECT users[each.place], codes[each.place], evidences[each.place]
            FROM unnest(part) AS each (place)
            WHERE (SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = users[each.place]) IS NOT NULL
            ON CONFLICT DO NOTHING;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
                IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                    RAISE;
                END IF;
                missing := missing || part;
                vain := vain + 1;
            WHEN OTHERS THEN
                FOREACH place IN ARRAY part LOOP
                    BEGIN
                        INSERT INTO "public"."badges_badge" (user_id, code, evidence)
                        VALUES (users[place], codes[place], evidences[place])
                        ON CONFLICT DO NOTHING;
                    EXCEPTION
                        WHEN foreign_key_violation THEN
                            NULL;  -- the user was deleted meanwhile
                        WHEN lock_not_available OR deadlock_detected THEN
                            missing := missing || place;
                        WHEN OTHERS THEN
                            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                                RAISE;
                            ELSIF SQLSTATE = '40001' THEN
                                missing := missing || place;
                            ELSE
                                PERFORM "public"."badges_note_failure"(codes[place], SQLSTATE, SQLERRM);
                            END IF;
                    END;
                END LOOP;
        END;
    END LOOP;
    RETURN missing;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_record_parts" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "1479cf91cb8ae59c"}';
REVOKE ALL ON FUNCTION "public"."badges_record_parts" FROM PUBLIC;

-- create function badges_record: new
-- Writes down what a trigger or a settled check found: awards what is earned, leaves a pending check for what is not and
-- for what could not be awarded in time. Never fails, and waits for no other transaction longer than the setting says.
CREATE OR REPLACE FUNCTION "public"."badges_record"(users integer[], codes text[], evidences jsonb[], earned boolean[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
DECLARE
    left_over integer[];
BEGIN
    IF true = ANY (earned) THEN
        IF current_setting('badges.patience', true) = 'spent' THEN
            PERFORM set_config('lock_timeout', '1ms', true);
        END IF;
        BEGIN
            INSERT INTO "public"."badges_badge" (user_id, code, evidence)
            SELECT found.user_id, found.code, found.evidence
            FROM unnest(users, codes, evidences, earned) AS found (user_id, code, evidence, earned)
            WHERE found.earned
              AND (SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = found.user_id) IS NOT NULL
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM set_config('badges.patience', 'spent', true);
            END IF;
            left_over := "public"."badges_record_parts"(users, codes, evidences, earned);
        END;
    END IF;
    IF false = ANY (earned) OR left_over IS NOT NULL THEN
        -- Two writers that make the table longer wait for each other a moment, which is no reason to give up.
        PERFORM set_config('lock_timeout', '0', true);
        INSERT INTO "public"."badges_pendingcheck" (bucket, user_id, code, evidence)
        SELECT (pg_catalog.hashtextextended(found.user_id::text, 0) & 1023)::integer, found.user_id, found.code, found.evidence
        FROM unnest(users, codes, evidences, earned) WITH ORDINALITY AS found (user_id, code, evidence, earned, place)
        WHERE (NOT found.earned OR found.place = ANY (left_over)) AND found.user_id IS NOT NULL;
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_record" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "42e47d94e3fc9de6"}';
REVOKE ALL ON FUNCTION "public"."badges_record" FROM PUBLIC;

-- create function badges_one_by_one: new
-- Looks at badges one by one for each changed row, after they could not be looked at together: the one whose condition
-- fails is noted and skipped, the others are awarded as ever.
CREATE OR REPLACE FUNCTION "public"."badges_one_by_one"(event text, users integer[], news jsonb[], olds jsonb[], codes text[], cross_row boolean[], reads jsonb[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
DECLARE
    lacking record;
    found record;
    failures text[];
    place integer;
    failed_codes text[];
    sqlstates text[];
    messages text[];
    times integer[];
BEGIN
    FOR lacking IN
        SELECT changed.user_id, changed.new, changed.old, badge.code, badge.is_cross_row, badge.reads
        FROM unnest(users, news, olds) AS changed (user_id, new, old)
        CROSS JOIN unnest(codes, cross_row, reads) AS badge (code, is_cross_row, reads)
        WHERE changed.user_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM "public"."badges_badge" AS b WHERE b.user_id = changed.user_id AND b.code COLLATE "C" = badge.code)
    LOOP
        BEGIN
            SELECT * INTO found FROM "public"."badges_check"(lacking.code, event, lacking.user_id, lacking.new, lacking.old, false);
            IF found.earned OR lacking.is_cross_row THEN
                -- What is not earned is left to a pending check: the locks were lost with the failed statement.
                PERFORM "public"."badges_record"(ARRAY[lacking.user_id], ARRAY[lacking.code], ARRAY[found.evidence], ARRAY[found.earned]);
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                -- Not the condition's fault: a deadlock, a lock, a lack of memory. It is looked at again later.
                PERFORM "public"."badges_record"(
                    ARRAY[lacking.user_id], ARRAY[lacking.code],
                    ARRAY[jsonb_build_object(
                        'operation', event,
                        'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(lacking.new) AS c
                                WHERE lacking.reads -> 'new' ? c.key),
                        'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(lacking.old) AS c
                                WHERE lacking.reads -> 'old' ? c.key))],
                    ARRAY[false]);
            ELSE
                -- Written down once for all rows, as each change of a row in one transaction makes the next one slower.
                place := array_position(failures, SQLSTATE || lacking.code);
                IF place IS NULL THEN
                    failures := failures || (SQLSTATE || lacking.code);
                    failed_codes := failed_codes || lacking.code;
                    sqlstates := sqlstates || SQLSTATE;
                    messages := messages || SQLERRM;
                    times := times || 1;
                ELSE
                    times[place] := times[place] + 1;
                END IF;
            END IF;
        END;
    END LOOP;
    FOR place IN 1 .. coalesce(cardinality(failures), 0) LOOP
        BEGIN
            PERFORM "public"."badges_note_failure"(failed_codes[place], sqlstates[place], messages[place], times[place]);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'badge % failed: %; and that could not be recorded: %', failed_codes[place], messages[place], SQLERRM;
        END;
    END LOOP;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_one_by_one" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "cefd31f61c78249a"}';
REVOKE ALL ON FUNCTION "public"."badges_one_by_one" FROM PUBLIC;

-- create function badges_settle: new
-- Settles pending checks, of these buckets or of all: looks again under the lock, in a snapshot that was taken after it.
-- A check goes only after that; it stays while another transaction, not yet ended, keeps the badge or the lock.
CREATE OR REPLACE FUNCTION "public"."badges_settle"(only_buckets integer[], most integer, OUT settled integer, OUT kept integer)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
DECLARE
    pending record;
    found record;
BEGIN
    settled := 0;
    kept := 0;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    IF current_setting('badges.patience', true) = 'spent' THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    FOR pending IN
        SELECT p.id, p.user_id, p.code, p.evidence
        FROM "public"."badges_pendingcheck" AS p
        WHERE (only_buckets IS NULL OR p.bucket = ANY (only_buckets))
          -- What this transaction left for those that run beside it must outlast it.
          AND p.noted_by IS DISTINCT FROM pg_current_xact_id_if_assigned()::text
        ORDER BY p.failed_at NULLS FIRST, p.noted_at
        LIMIT most
        FOR UPDATE SKIP LOCKED
    LOOP
        BEGIN
            IF NOT pg_try_advisory_xact_lock(1650549863, (pg_catalog.hashtextextended(pending.user_id::text, 0) & 1023)::integer) THEN
                kept := kept + 1;
                CONTINUE;
            END IF;
            IF NOT EXISTS (SELECT FROM "public"."badges_badge" AS b WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code) THEN
                SELECT * INTO found
                FROM "public"."badges_check"(
                    pending.code, pending.evidence ->> 'operation', pending.user_id,
                    pending.evidence -> 'new', pending.evidence -> 'old', true);
                IF found.earned THEN
                    INSERT INTO "public"."badges_badge" (user_id, code, evidence)
                    SELECT u."id", pending.code, found.evidence
                    FROM "public"."auth_user" AS u
                    WHERE u."id" = pending.user_id
                    ON CONFLICT DO NOTHING;
                END IF;
            END IF;
            DELETE FROM "public"."badges_pendingcheck" AS p WHERE p.id = pending.id;
            settled := settled + 1;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR foreign_key_violation THEN
                kept := kept + 1;
                -- The transaction waits in vain once, not for each of its checks.
                PERFORM set_config('badges.patience', 'spent', true), set_config('lock_timeout', '1ms', true);
            WHEN undefined_column THEN
                -- The condition has changed since, or its table: what was kept will never do.
                DELETE FROM "public"."badges_pendingcheck" AS p WHERE p.id = pending.id;
                PERFORM "public"."badges_note_failure"(pending.code, SQLSTATE, SQLERRM);
                settled := settled + 1;
            WHEN OTHERS OR assert_failure THEN
                kept := kept + 1;
                UPDATE "public"."badges_pendingcheck" AS p SET failed_at = clock_timestamp() WHERE p.id = pending.id;
                PERFORM "public"."badges_note_failure"(pending.code, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_settle" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "a16d8896c12dd948"}';
REVOKE ALL ON FUNCTION "public"."badges_settle" FROM PUBLIC;

-- create function badges_award: new
-- Awards a badge by hand; tells whether the user lacked it.
CREATE OR REPLACE FUNCTION "public"."badges_award"(awarded_user integer, awarded_code text, evidence jsonb DEFAULT NULL::jsonb)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
BEGIN
    PERFORM pg_advisory_xact_lock(1650549863, (pg_catalog.hashtextextended(awarded_user::text, 0) & 1023)::integer);
    INSERT INTO "public"."badges_badge" (user_id, code, evidence) VALUES (awarded_user, awarded_code, evidence) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_award" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "5085f950e511f2ef"}';
REVOKE ALL ON FUNCTION "public"."badges_award" FROM PUBLIC;

-- create function badges_revoke: new
-- Takes a badge away by hand; tells whether the user held it. The next write that meets its condition awards it again.
CREATE OR REPLACE FUNCTION "public"."badges_revoke"(revoked_user integer, revoked_code text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
BEGIN
    PERFORM pg_advisory_xact_lock(1650549863, (pg_catalog.hashtextextended(revoked_user::text, 0) & 1023)::integer);
    -- Settling the checks of earlier writes would award it again.
    DELETE FROM "public"."badges_pendingcheck" AS p WHERE p.bucket = (pg_catalog.hashtextextended(revoked_user::text, 0) & 1023)::integer AND p.user_id = revoked_user AND p.code = revoked_code;
    DELETE FROM "public"."badges_badge" AS b WHERE b.user_id = revoked_user AND b.code = revoked_code;
    RETURN FOUND;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_revoke" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "775c4952f1357789"}';
REVOKE ALL ON FUNCTION "public"."badges_revoke" FROM PUBLIC;

-- create function badges_check: new
-- Looks at one badge for one changed row whose values were kept; `among_others` looks at the user's other rows, too, where
-- one of them may have been waiting for this one. Raises what the condition raises.
CREATE OR REPLACE FUNCTION "public"."badges_check"(badge_code text, event text, checked_user integer, new_row jsonb, old_row jsonb, among_others boolean, OUT earned boolean, OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
BEGIN
    earned := false;
    -- Clean-up
    IF badges_check.badge_code = 'clean-up' AND badges_check.event = 'delete' THEN
        IF NOT (badges_check.new_row ?& '{}'::text[] AND badges_check.old_row ?& '{hit_views}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT OLD.hit_views < 10
                    ), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'delete', 'old', jsonb_build_object('hit_views', "old"."hit_views"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.old_row) AS "old" ("hit_views" integer);
        RETURN;
    END IF;
    -- Collector
    IF badges_check.badge_code = 'collector' AND badges_check.event = 'insert' THEN
        IF NOT (badges_check.new_row ?& '{user_id}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT count(id) >= 5 from dummy_sketch where user_id = NEW.user_id
                    ), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert', 'new', jsonb_build_object('user_id', "new"."user_id"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("user_id" integer);
        RETURN;
    END IF;
    -- First sketch
    IF badges_check.badge_code = 'first-sketch' AND badges_check.event = 'insert' THEN
        IF NOT (badges_check.new_row ?& '{}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT true
                    ), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert')
        INTO earned, evidence
        FROM (SELECT) AS nothing;
        RETURN;
    END IF;
    -- Pionner
    IF badges_check.badge_code = 'pionner' AND badges_check.event = 'update' THEN
        IF NOT (badges_check.new_row ?& '{date_joined}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.auth_user';
        END IF;
        SELECT coalesce((SELECT age(NEW.date_joined) > interval '1 year'
                    ), false), jsonb_build_object('table', 'public.auth_user', 'operation', 'update', 'new', jsonb_build_object('date_joined', "new"."date_joined"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("date_joined" timestamp with time zone);
        RETURN;
    END IF;
    -- Prolific
    IF badges_check.badge_code = 'prolific' AND badges_check.event = 'insert' THEN
        IF NOT (badges_check.new_row ?& '{user_id}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT count(*) >= 25 from dummy_sketch where user_id = NEW.user_id
                    ), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert', 'new', jsonb_build_object('user_id', "new"."user_id"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("user_id" integer);
        RETURN;
    END IF;
    -- Star
    IF badges_check.badge_code = 'star' AND badges_check.event = 'update' THEN
        IF NOT (badges_check.new_row ?& '{hit_views}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT hit_views > 1000
                    ), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'update', 'new', jsonb_build_object('hit_views', "new"."hit_views"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("hit_views" integer);
        RETURN;
    END IF;
    -- Three badges
    IF badges_check.badge_code = 'three-badges' AND badges_check.event = 'insert' THEN
        IF NOT (badges_check.new_row ?& '{user_id}'::text[] AND badges_check.old_row ?& '{}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.badges_badge';
        END IF;
        SELECT coalesce((SELECT count(*) >= 3 from badges_badge where user_id = NEW.user_id
                    ), false), jsonb_build_object('table', 'public.badges_badge', 'operation', 'insert', 'new', jsonb_build_object('user_id', "new"."user_id"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("user_id" integer);
        RETURN;
    END IF;
    -- Viral
    IF badges_check.badge_code = 'viral' AND badges_check.event = 'update' THEN
        IF NOT (badges_check.new_row ?& '{hit_views}'::text[] AND badges_check.old_row ?& '{hit_views}'::text[]) THEN
            RAISE undefined_column USING MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch';
        END IF;
        SELECT coalesce((SELECT (SELECT NEW.hit_views - OLD.hit_views >= 500
                    ) FROM (SELECT "new"."hit_views") AS "new"), false), jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'update', 'new', jsonb_build_object('hit_views', "new"."hit_views"), 'old', jsonb_build_object('hit_views', "old"."hit_views"))
        INTO earned, evidence
        FROM jsonb_to_record(badges_check.new_row) AS "new" ("hit_views" integer)
        CROSS JOIN jsonb_to_record(badges_check.old_row) AS "old" ("hit_views" integer);
        RETURN;
    END IF;

END
$badges$;
COMMENT ON FUNCTION "public"."badges_check" IS 'Made by django-pg-badges; {"generator": 1, "badges": [], "body": "a6bb0f573f67de4d"}';
REVOKE ALL ON FUNCTION "public"."badges_check" FROM PUBLIC;

-- create function badges_update_auth_user_3116e76a: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_update_auth_user_3116e76a"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards pionner after update on public.auth_user.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'auth_user') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
        INTO own.users, own.codes, own.evidences, own.earned
        FROM (
            SELECT DISTINCT ON ("new"."id", badge.code) "new"."id" AS known_user, badge.code, jsonb_build_object('table', 'public.auth_user', 'operation', 'update', 'new', jsonb_build_object('date_joined', "new"."date_joined")) AS evidence
            FROM "badges_new" AS "new"
            CROSS JOIN LATERAL (
                VALUES
                    -- Pionner
                    ('pionner', (SELECT age(NEW.date_joined) > interval '1 year'
                    ))
            ) AS badge (code, earned)
            WHERE badge.earned AND "new"."id" IS NOT NULL
        ) AS found
        WHERE (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
        IF own.users IS NOT NULL THEN
            PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'update', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = "new"."id")), array_agg(to_jsonb(new.*)), array_agg(NULL::jsonb),
                '{pionner}'::text[], '{f}'::bool[], ARRAY['{"new": ["date_joined"], "old": []}'::jsonb])
            FROM "badges_new" AS "new"
            WHERE "new"."id" IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{pionner}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_auth_user_3116e76a" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["pionner"], "body": "c7ae98ff23384048"}';
REVOKE ALL ON FUNCTION "public"."badges_update_auth_user_3116e76a" FROM PUBLIC;

-- create function badges_insert_badges_badge_d2690b9b: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_insert_badges_badge_d2690b9b"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards three-badges after insert on public.badges_badge.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'badges_badge') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- Other rows decide these. Users who lack one are locked first, in a statement of its own: the next statement then
        -- sees what everybody who had the lock before has committed.
        SELECT array_agg(lacking.bucket),
               array_agg(lacking.bucket) FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket)),
               bool_or((SELECT true FROM "public"."badges_pendingcheck" AS p WHERE p.bucket = lacking.bucket LIMIT 1))
        INTO own.buckets, own.busy, own.has_checks
        FROM (
            SELECT DISTINCT (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer AS bucket
            FROM "badges_new" AS "new"
            WHERE "new"."user_id" IS NOT NULL
              AND (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = "new"."user_id" AND b.code COLLATE "C" = 'three-badges') IS NULL
            OFFSET 0
        ) AS lacking;
        IF own.buckets IS NOT NULL THEN
            IF own.busy IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
                own.busy := "public"."badges_wait"(own.buckets, own.busy);
            END IF;
            -- What is earned is awarded in any case; what is not, under a lock that another transaction has, is left to a
            -- pending check, as that transaction may be about to commit what is missing.
            SELECT array_agg("new"."user_id"), array_agg(badge.code), array_agg(jsonb_build_object('table', 'public.badges_badge', 'operation', 'insert', 'new', jsonb_build_object('user_id', "new"."user_id"))), array_agg(badge.earned)
            INTO own.users, own.codes, own.evidences, own.earned
            FROM (
        SELECT DISTINCT "new"."user_id" FROM "badges_new" AS "new" WHERE "new"."user_id" IS NOT NULL
    ) AS "new"
            CROSS JOIN LATERAL (
                VALUES
                    -- Three badges
                    ('three-badges', CASE WHEN (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = "new"."user_id" AND b.code COLLATE "C" = 'three-badges') IS NULL THEN coalesce((SELECT (SELECT count(*) >= 3 from badges_badge where user_id = NEW.user_id
                    ) FROM (SELECT "new"."user_id") AS "new"), false) END, false)
                OFFSET 0  -- or a single badge's condition is copied to wherever its result is asked for
            ) AS badge (code, earned, leaves_check)
            -- Who is in none of the buckets has lost a badge since the statement before.
            WHERE badge.earned
               OR (NOT badge.earned
                   AND (badge.leaves_check OR (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer = ANY (own.busy) OR (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer <> ALL (own.buckets)));
            IF own.users IS NOT NULL THEN
                PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
            END IF;
            -- Whoever has the lock settles a few of the checks that were left because of it.
            IF own.has_checks THEN
                PERFORM "public"."badges_settle"(array(SELECT unnest(own.buckets) EXCEPT SELECT unnest(own.busy)), 10);
            END IF;
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'insert', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = "new"."user_id")), array_agg(to_jsonb(new.*)), array_agg(NULL::jsonb),
                '{three-badges}'::text[], '{t}'::bool[], ARRAY['{"new": ["user_id"], "old": []}'::jsonb])
            FROM "badges_new" AS "new"
            WHERE "new"."user_id" IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{three-badges}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_insert_badges_badge_d2690b9b" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["three-badges"], "body": "86fe2ca576d168f4"}';
REVOKE ALL ON FUNCTION "public"."badges_insert_badges_badge_d2690b9b" FROM PUBLIC;

-- create function badges_delete_dummy_sketch_f1ef14d4: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards clean-up after delete on public.dummy_sketch.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'dummy_sketch') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
        INTO own.users, own.codes, own.evidences, own.earned
        FROM (
            SELECT DISTINCT ON ("old"."user_id", badge.code) "old"."user_id" AS known_user, badge.code, jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'delete', 'old', jsonb_build_object('hit_views', "old"."hit_views")) AS evidence
            FROM "badges_old" AS "old"
            CROSS JOIN LATERAL (
                VALUES
                    -- Clean-up
                    ('clean-up', (SELECT OLD.hit_views < 10
                    ))
            ) AS badge (code, earned)
            WHERE badge.earned AND "old"."user_id" IS NOT NULL
        ) AS found
        WHERE (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
        IF own.users IS NOT NULL THEN
            PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'delete', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = "old"."user_id")), array_agg(NULL::jsonb), array_agg(to_jsonb(old.*)),
                '{clean-up}'::text[], '{f}'::bool[], ARRAY['{"new": [], "old": ["hit_views"]}'::jsonb])
            FROM "badges_old" AS "old"
            WHERE "old"."user_id" IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{clean-up}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["clean-up"], "body": "e70db8a02bed0497"}';
REVOKE ALL ON FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4" FROM PUBLIC;

-- create function badges_insert_dummy_sketch_9c132b10: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_insert_dummy_sketch_9c132b10"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards collector, first-sketch, prolific after insert on public.dummy_sketch.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'dummy_sketch') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- Other rows decide these. Users who lack one are locked first, in a statement of its own: the next statement then
        -- sees what everybody who had the lock before has committed.
        SELECT array_agg(lacking.bucket),
               array_agg(lacking.bucket) FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket)),
               bool_or((SELECT true FROM "public"."badges_pendingcheck" AS p WHERE p.bucket = lacking.bucket LIMIT 1))
        INTO own.buckets, own.busy, own.has_checks
        FROM (
            SELECT DISTINCT (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer AS bucket
            FROM "badges_new" AS "new"
            WHERE "new"."user_id" IS NOT NULL
              AND (SELECT count(*) FROM "public"."badges_badge" AS b WHERE b.user_id = "new"."user_id" AND b.code COLLATE "C" IN ('collector', 'prolific')) < 2
            OFFSET 0
        ) AS lacking;
        IF own.buckets IS NOT NULL THEN
            IF own.busy IS NOT NULL OR current_setting('transaction_isolation') <> 'read committed' THEN
                own.busy := "public"."badges_wait"(own.buckets, own.busy);
            END IF;
            -- What is earned is awarded in any case; what is not, under a lock that another transaction has, is left to a
            -- pending check, as that transaction may be about to commit what is missing.
            SELECT array_agg("new"."user_id"), array_agg(badge.code), array_agg(jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert', 'new', jsonb_build_object('user_id', "new"."user_id"))), array_agg(badge.earned)
            INTO own.users, own.codes, own.evidences, own.earned
            FROM (
        SELECT DISTINCT "new"."user_id" FROM "badges_new" AS "new" WHERE "new"."user_id" IS NOT NULL
    ) AS "new"
            CROSS JOIN LATERAL (
                SELECT coalesce(array_agg(b.code), '{}') AS codes
                FROM "public"."badges_badge" AS b
                WHERE b.user_id = "new"."user_id" AND b.code COLLATE "C" IN ('collector', 'prolific')
                OFFSET 0
            ) AS held
            CROSS JOIN LATERAL (
                VALUES
                    -- Collector
                    ('collector', CASE WHEN 'collector' <> ALL (held.codes) THEN coalesce((SELECT (SELECT count(id) >= 5 from dummy_sketch where user_id = NEW.user_id
                    ) FROM (SELECT "new"."user_id") AS "new"), false) END, false),
                    -- Prolific
                    ('prolific', CASE WHEN 'prolific' <> ALL (held.codes) THEN coalesce((SELECT (SELECT count(*) >= 25 from dummy_sketch where user_id = NEW.user_id
                    ) FROM (SELECT "new"."user_id") AS "new"), false) END, false)
                OFFSET 0  -- or a single badge's condition is copied to wherever its result is asked for
            ) AS badge (code, earned, leaves_check)
            -- Who is in none of the buckets has lost a badge since the statement before.
            WHERE badge.earned
               OR (NOT badge.earned
                   AND (badge.leaves_check OR (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer = ANY (own.busy) OR (pg_catalog.hashtextextended("new"."user_id"::text, 0) & 1023)::integer <> ALL (own.buckets)));
            IF own.users IS NOT NULL THEN
                PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
            END IF;
            -- Whoever has the lock settles a few of the checks that were left because of it.
            IF own.has_checks THEN
                PERFORM "public"."badges_settle"(array(SELECT unnest(own.buckets) EXCEPT SELECT unnest(own.busy)), 10);
            END IF;
        END IF;

        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
        INTO own.users, own.codes, own.evidences, own.earned
        FROM (
            SELECT DISTINCT ON ("new"."user_id", badge.code) "new"."user_id" AS known_user, badge.code, jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert') AS evidence
            FROM "badges_new" AS "new"
            CROSS JOIN LATERAL (
                VALUES
                    -- First sketch
                    ('first-sketch', (SELECT true
                    ))
            ) AS badge (code, earned)
            WHERE badge.earned AND "new"."user_id" IS NOT NULL
        ) AS found
        WHERE (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
        IF own.users IS NOT NULL THEN
            PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'insert', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = "new"."user_id")), array_agg(to_jsonb(new.*)), array_agg(NULL::jsonb),
                '{collector,first-sketch,prolific}'::text[], '{t,f,t}'::bool[], ARRAY['{"new": ["user_id"], "old": []}'::jsonb, '{"new": [], "old": []}'::jsonb, '{"new": ["user_id"], "old": []}'::jsonb])
            FROM "badges_new" AS "new"
            WHERE "new"."user_id" IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{collector,first-sketch,prolific}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_insert_dummy_sketch_9c132b10" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["collector", "first-sketch", "prolific"], "body": "7150a90304498f43"}';
REVOKE ALL ON FUNCTION "public"."badges_insert_dummy_sketch_9c132b10" FROM PUBLIC;

-- create function badges_update_dummy_sketch_f5317487: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_update_dummy_sketch_f5317487"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards star after update on public.dummy_sketch.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'dummy_sketch') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
        INTO own.users, own.codes, own.evidences, own.earned
        FROM (
            SELECT DISTINCT ON ("new"."user_id", badge.code) "new"."user_id" AS known_user, badge.code, jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'update', 'new', jsonb_build_object('hit_views', "new"."hit_views")) AS evidence
            FROM "badges_new" AS "new"
            CROSS JOIN LATERAL (
                VALUES
                    -- Star
                    ('star', (SELECT hit_views > 1000
                    ))
            ) AS badge (code, earned)
            WHERE badge.earned AND "new"."user_id" IS NOT NULL
        ) AS found
        WHERE (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
        IF own.users IS NOT NULL THEN
            PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'update', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = "new"."user_id")), array_agg(to_jsonb(new.*)), array_agg(NULL::jsonb),
                '{star}'::text[], '{f}'::bool[], ARRAY['{"new": ["hit_views"], "old": []}'::jsonb])
            FROM "badges_new" AS "new"
            WHERE "new"."user_id" IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{star}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_dummy_sketch_f5317487" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["star"], "body": "62869733653a425a"}';
REVOKE ALL ON FUNCTION "public"."badges_update_dummy_sketch_f5317487" FROM PUBLIC;

-- create function badges_update_row_dummy_sketch_9e149d12: new
-- The function behind one trigger: every badge that is checked after one kind of write to one table.
CREATE OR REPLACE FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Awards viral after update on public.dummy_sketch.
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
<<own>>
DECLARE
    buckets integer[];
    busy integer[];
    has_checks boolean;
    users integer[];
    codes text[];
    evidences jsonb[];
    earned boolean[];
BEGIN
    -- Attached to another table, this function would award badges for made-up rows.
    IF NOT (TG_TABLE_SCHEMA = 'public' AND TG_TABLE_NAME = 'dummy_sketch') THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- The changed row alone decides these: the conditions come first, as most rows earn nothing.
        SELECT array_agg(found.known_user), array_agg(found.code), array_agg(found.evidence), array_agg(true)
        INTO own.users, own.codes, own.evidences, own.earned
        FROM (
            SELECT DISTINCT ON ("new"."user_id", badge.code) "new"."user_id" AS known_user, badge.code, jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'update', 'new', jsonb_build_object('hit_views', "new"."hit_views"), 'old', jsonb_build_object('hit_views', "old"."hit_views")) AS evidence
            FROM (SELECT NEW."hit_views", NEW."user_id") AS "new"
    CROSS JOIN (SELECT OLD."hit_views") AS "old"
            CROSS JOIN LATERAL (
                VALUES
                    -- Viral
                    ('viral', (SELECT (SELECT NEW.hit_views - OLD.hit_views >= 500
                    ) FROM (SELECT "new"."hit_views") AS "new"))
            ) AS badge (code, earned)
            WHERE badge.earned AND "new"."user_id" IS NOT NULL
        ) AS found
        WHERE (SELECT true FROM "public"."badges_badge" AS b WHERE b.user_id = found.known_user AND b.code COLLATE "C" = found.code) IS NULL;
        IF own.users IS NOT NULL THEN
            PERFORM "public"."badges_record"(own.users, own.codes, own.evidences, own.earned);
        END IF;

    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that is going on must succeed, whatever is wrong here; but a serialization failure must end it.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        BEGIN
            PERFORM "public"."badges_one_by_one"(
                'update', array_agg((SELECT u."id" FROM "public"."auth_user" AS u WHERE u."id" = changed.user_id)), array_agg(to_jsonb(NEW)), array_agg(to_jsonb(OLD)),
                '{viral}'::text[], '{f}'::bool[], ARRAY['{"new": ["hit_views"], "old": ["hit_views"]}'::jsonb])
            FROM (SELECT NEW."user_id" AS user_id) AS changed
            WHERE changed.user_id IS NOT NULL;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            BEGIN
                -- What is wrong concerns all of them: the column of the user is gone, say.
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM) FROM unnest('{viral}'::text[]) AS failed (code);
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'badges after % on %.% could not be checked: %', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END;

    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12" IS 'Made by django-pg-badges; {"generator": 1, "badges": ["viral"], "body": "05b36ed2d23fb444"}';
REVOKE ALL ON FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12" FROM PUBLIC;

-- create trigger badges_update_auth_user_3116e76a on public.auth_user: new: after update, statement-level
CREATE OR REPLACE TRIGGER "badges_update_auth_user_3116e76a" AFTER UPDATE ON "public"."auth_user"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_update_auth_user_3116e76a"();

-- create trigger badges_insert_badges_badge_d2690b9b on public.badges_badge: new: after insert, statement-level
CREATE OR REPLACE TRIGGER "badges_insert_badges_badge_d2690b9b" AFTER INSERT ON "public"."badges_badge"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_insert_badges_badge_d2690b9b"();

-- create trigger badges_delete_dummy_sketch_f1ef14d4 on public.dummy_sketch: new: after delete, statement-level
CREATE OR REPLACE TRIGGER "badges_delete_dummy_sketch_f1ef14d4" AFTER DELETE ON "public"."dummy_sketch"
REFERENCING OLD TABLE AS "badges_old"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4"();

-- create trigger badges_insert_dummy_sketch_9c132b10 on public.dummy_sketch: new: after insert, statement-level
CREATE OR REPLACE TRIGGER "badges_insert_dummy_sketch_9c132b10" AFTER INSERT ON "public"."dummy_sketch"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_insert_dummy_sketch_9c132b10"();

-- create trigger badges_update_dummy_sketch_f5317487 on public.dummy_sketch: new: after update, statement-level
CREATE OR REPLACE TRIGGER "badges_update_dummy_sketch_f5317487" AFTER UPDATE ON "public"."dummy_sketch"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_update_dummy_sketch_f5317487"();

-- create trigger badges_update_row_dummy_sketch_9e149d12 on public.dummy_sketch: new: after update, row-level
CREATE OR REPLACE TRIGGER "badges_update_row_dummy_sketch_9e149d12" AFTER UPDATE ON "public"."dummy_sketch"
FOR EACH ROW EXECUTE FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12"();

COMMIT;
