-- What `create_badge_triggers --sql` prints for example/badge.json on a database without badges.
-- Renewed by: BADGES_UPDATE_DOCS=1 python3 run.py test tests/test_docs.py

BEGIN;

-- add definition pionner: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('pionner', 'Pionner', 'Joined more than a year ago.', 'Company', 'dummy/badges/pionner.svg', 10, 1, false, '{"de": {"name": "Pionier", "description": "Ist seit mehr als einem Jahr dabei."}, "fr": {"name": "Pionnier", "description": "Membre depuis plus d''un an."}, "es": {"name": "Pionero", "description": "Se unió hace más de un año."}}'::jsonb, 'age(NEW.date_joined) > interval ''1 year''', to_jsonb('{update}'::text[]), 'auth_user', 'id', '', NULL, '[]'::jsonb, '', false, true, '', '', '934499c6e815', NULL);

-- add definition collector: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('collector', 'Collector', 'Has five sketches.', 'Drawing', 'dummy/badges/collector.svg', 5, 2, false, '{"de": {"name": "Sammler", "description": "Hat fünf Skizzen."}, "fr": {"name": "Collectionneur", "description": "A cinq croquis."}, "es": {"name": "Coleccionista", "description": "Tiene cinco bocetos."}}'::jsonb, 'count(id) >= 5 from dummy_sketch where user_id = NEW.user_id', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', '48bcf3aac106', NULL);

-- add definition star: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('star', 'Star', 'A sketch was seen more than 1,000 times.', 'Fame', 'dummy/badges/star.svg', 50, 3, false, '{"de": {"name": "Star", "description": "Eine Skizze wurde über 1.000-mal angesehen."}, "fr": {"name": "Vedette", "description": "Un croquis a été vu plus de 1 000 fois."}, "es": {"name": "Estrella", "description": "Un boceto se vio más de 1.000 veces."}}'::jsonb, 'hit_views > 1000 ', to_jsonb('{update}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', '562c68756a5e', NULL);

-- add definition first-sketch: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('first-sketch', 'First sketch', 'Drew a first sketch.', 'Drawing', 'dummy/badges/first-sketch.svg', 1, 4, false, '{"de": {"name": "Erste Skizze", "description": "Hat eine erste Skizze gezeichnet."}, "fr": {"name": "Premier croquis", "description": "A dessiné un premier croquis."}, "es": {"name": "Primer boceto", "description": "Dibujó un primer boceto."}}'::jsonb, 'true', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', '8c9399242c7a', NULL);

-- add definition prolific: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('prolific', 'Prolific', 'Has 25 sketches.', 'Drawing', 'dummy/badges/prolific.svg', 25, 5, false, '{"de": {"name": "Fleißig", "description": "Hat 25 Skizzen."}, "fr": {"name": "Prolifique", "description": "A 25 croquis."}, "es": {"name": "Prolífico", "description": "Tiene 25 bocetos."}}'::jsonb, '(SELECT count(*) from dummy_sketch where user_id = NEW.user_id
) >= 25', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', 'count(*) from dummy_sketch where user_id = NEW.user_id', 25, '[]'::jsonb, '', false, true, '', '', '99477664a2e6', NULL);

-- add definition virtuoso: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('virtuoso', 'Virtuoso', 'Has 100 sketches.', 'Drawing', 'dummy/badges/virtuoso.svg', 100, 5, false, '{"de": {"name": "Virtuos", "description": "Hat 100 Skizzen."}, "fr": {"name": "Virtuose", "description": "A 100 croquis."}, "es": {"name": "Virtuoso", "description": "Tiene 100 bocetos."}}'::jsonb, '(SELECT count(*) from dummy_sketch where user_id = NEW.user_id
) >= 100', to_jsonb('{insert}'::text[]), 'dummy_sketch', 'user_id', 'count(*) from dummy_sketch where user_id = NEW.user_id', 100, '[]'::jsonb, '', false, true, '', '', 'edab6619d916', NULL);

-- add definition viral: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('viral', 'Viral', 'A sketch got 500 views at once.', 'Fame', 'dummy/badges/viral.svg', 50, 6, false, '{"de": {"description": "Eine Skizze wurde auf einmal 500-mal angesehen."}, "fr": {"description": "Un croquis a été vu 500 fois d''un coup."}, "es": {"description": "Un boceto recibió 500 visitas de golpe."}}'::jsonb, 'NEW.hit_views - OLD.hit_views >= 500', to_jsonb('{update}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', 'cfeb9e2b634c', NULL);

-- add definition hit: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('hit', 'Hit', 'One for each sketch that was seen 250 times.', 'Fame', 'dummy/badges/hit.svg', 5, 7, false, '{"de": {"description": "Für jede Skizze, die 250-mal angesehen wurde."}, "fr": {"name": "Succès", "description": "Un pour chaque croquis vu 250 fois."}, "es": {"name": "Éxito", "description": "Uno por cada boceto visto 250 veces."}}'::jsonb, 'hit_views >= 250', to_jsonb('{update}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, 'id', false, true, '', '', '22d452c4a6a9', NULL);

-- add definition well-liked: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('well-liked', 'Well liked', 'Got three likes.', 'Fame', 'dummy/badges/well-liked.svg', 5, 8, false, '{"de": {"name": "Gern gesehen", "description": "Hat drei Likes bekommen."}, "fr": {"name": "Apprécié", "description": "A reçu trois likes."}, "es": {"name": "Apreciado", "description": "Recibió tres me gusta."}}'::jsonb, '(SELECT count(*) from dummy_like where artist_id = NEW.artist_id
) >= 3', to_jsonb('{insert}'::text[]), 'dummy_like', 'artist_id', 'count(*) from dummy_like where artist_id = NEW.artist_id', 3, '[]'::jsonb, '', false, true, '', '', 'f0207666bf59', NULL);

-- add definition beloved: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('beloved', 'Beloved', 'Got ten likes.', 'Fame', 'dummy/badges/beloved.svg', 20, 8, false, '{"de": {"name": "Liebling", "description": "Hat zehn Likes bekommen."}, "fr": {"name": "Adoré", "description": "A reçu dix likes."}, "es": {"name": "Adorado", "description": "Recibió diez me gusta."}}'::jsonb, '(SELECT count(*) from dummy_like where artist_id = NEW.artist_id
) >= 10', to_jsonb('{insert}'::text[]), 'dummy_like', 'artist_id', 'count(*) from dummy_like where artist_id = NEW.artist_id', 10, '[]'::jsonb, '', false, true, '', '', '5ea89ab45a79', NULL);

-- add definition generous-bronze: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('generous-bronze', 'Generous, bronze', 'Likes three sketches.', 'Company', 'dummy/badges/generous-bronze.svg', 2, 9, false, '{"de": {"name": "Großzügig, Bronze", "description": "Mag drei Skizzen."}, "fr": {"name": "Généreux, bronze", "description": "Aime trois croquis."}, "es": {"name": "Generoso, bronce", "description": "Le gustan tres bocetos."}}'::jsonb, '(SELECT count(*) from dummy_like where user_id = NEW.user_id
) >= 3', to_jsonb('{insert}'::text[]), 'dummy_like', 'user_id', 'count(*) from dummy_like where user_id = NEW.user_id', 3, '[]'::jsonb, '', true, true, '', '', 'a9eec5acd957', NULL);

-- add definition generous-silver: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('generous-silver', 'Generous, silver', 'Likes ten sketches.', 'Company', 'dummy/badges/generous-silver.svg', 5, 9, false, '{"de": {"name": "Großzügig, Silber", "description": "Mag zehn Skizzen."}, "fr": {"name": "Généreux, argent", "description": "Aime dix croquis."}, "es": {"name": "Generoso, plata", "description": "Le gustan diez bocetos."}}'::jsonb, '(SELECT count(*) from dummy_like where user_id = NEW.user_id
) >= 10', to_jsonb('{insert}'::text[]), 'dummy_like', 'user_id', 'count(*) from dummy_like where user_id = NEW.user_id', 10, '[]'::jsonb, '', true, true, '', '', 'efb781884691', NULL);

-- add definition generous-gold: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('generous-gold', 'Generous, gold', 'Likes 25 sketches.', 'Company', 'dummy/badges/generous-gold.svg', 15, 9, false, '{"de": {"name": "Großzügig, Gold", "description": "Mag 25 Skizzen."}, "fr": {"name": "Généreux, or", "description": "Aime 25 croquis."}, "es": {"name": "Generoso, oro", "description": "Le gustan 25 bocetos."}}'::jsonb, '(SELECT count(*) from dummy_like where user_id = NEW.user_id
) >= 25', to_jsonb('{insert}'::text[]), 'dummy_like', 'user_id', 'count(*) from dummy_like where user_id = NEW.user_id', 25, '[]'::jsonb, '', true, true, '', '', '29f35aef83e4', NULL);

-- add definition good-mood: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('good-mood', 'In a good mood', 'Liked something this week.', 'Company', 'dummy/badges/good-mood.svg', 1, 10, false, '{"de": {"name": "Guter Laune", "description": "Hat diese Woche etwas gemocht."}, "fr": {"name": "De bonne humeur", "description": "A aimé quelque chose cette semaine."}, "es": {"name": "De buen humor", "description": "Le gustó algo esta semana."}}'::jsonb, 'true', to_jsonb('{insert}'::text[]), 'dummy_like', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '7 days', '', '3ea10f1b5153', NULL);

-- add definition clean-up: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('clean-up', 'Clean-up', 'Threw away a sketch that hardly anybody had seen.', 'Drawing', 'dummy/badges/clean-up.svg', 1, 11, false, '{"de": {"name": "Aufgeräumt", "description": "Hat eine Skizze weggeworfen, die kaum jemand gesehen hatte."}, "fr": {"name": "Grand ménage", "description": "A jeté un croquis que presque personne n''avait vu."}, "es": {"name": "Limpieza", "description": "Tiró un boceto que casi nadie había visto."}}'::jsonb, 'OLD.hit_views < 10', to_jsonb('{delete}'::text[]), 'dummy_sketch', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', '11e17839a665', NULL);

-- add definition three-badges: new
INSERT INTO "public"."badges_badgedefinition" ("code", "name", "description", "category", "image", "points", "position", "secret", "translations", "condition", "trigger_condition", "trigger_table", "user_field", "progress", "goal", "triggers", "per", "revocable", "active", "expires_after", "time_zone", "rule", "retired_at") VALUES ('three-badges', 'Three badges', 'Holds three badges: one for the cabinet.', 'Badges', 'dummy/badges/three-badges.svg', 10, 12, true, '{"de": {"name": "Drei Abzeichen", "description": "Hält drei Abzeichen: eins für die Vitrine."}, "fr": {"name": "Trois badges", "description": "Détient trois badges : un pour la vitrine."}, "es": {"name": "Tres insignias", "description": "Tiene tres insignias: una para la vitrina."}}'::jsonb, 'count(*) >= 3 from badges_badge where user_id = NEW.user_id', to_jsonb('{insert}'::text[]), 'badges_badge', 'user_id', '', NULL, '[]'::jsonb, '', false, true, '', '', '706fc6bfbd46', NULL);

-- create function badges_seal: new
CREATE OR REPLACE FUNCTION "public"."badges_seal"(kind text, content text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
AS $badges$
-- Remembers something until the transaction ends, in the setting badges.<kind>.
-- Any session can set such a setting. So the content has a signature in front, which needs the secret and holds for
-- this transaction only: badges_sealed ignores everything else.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    BEGIN
        PERFORM set_config(
            'badges.' || kind,
            encode(sha256(convert_to(concat_ws('|', s.secret, kind, pg_current_xact_id(), content), 'UTF8')), 'hex')
                || content,
            true)
        FROM "public"."badges_secret" AS s;
    EXCEPTION WHEN insufficient_privilege OR undefined_table OR lock_not_available THEN
        NULL;  -- without the secret nothing is remembered: the cause of a revocation is then "sql"
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_seal" IS 'Made by django-pg-badges; {"summary": "Remembers something until the transaction ends, in the setting badges.<kind>.", "generator": 22, "badges": [], "body": "975168a57bfd0259"}';
REVOKE ALL ON FUNCTION "public"."badges_seal" FROM PUBLIC;

-- create function badges_sealed: new
CREATE OR REPLACE FUNCTION "public"."badges_sealed"(kind text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
AS $badges$
-- Returns what badges_seal has remembered in this transaction; NULL if that is nothing, or was set by the session.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
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
            FROM "public"."badges_secret" AS s
            WHERE left(signed, 64) = encode(
                sha256(convert_to(concat_ws('|', s.secret, kind, pg_current_xact_id(), content), 'UTF8')), 'hex'));
    EXCEPTION WHEN insufficient_privilege OR undefined_table OR lock_not_available THEN
        RETURN NULL;
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_sealed" IS 'Made by django-pg-badges; {"summary": "Returns what badges_seal has remembered in this transaction; NULL if that is nothing, or was set by the session.", "generator": 22, "badges": [], "body": "88a896b8c2284356"}';
REVOKE ALL ON FUNCTION "public"."badges_sealed" FROM PUBLIC;

-- create function badges_check_keys_at_once: new
CREATE OR REPLACE FUNCTION "public"."badges_check_keys_at_once"()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Has the foreign keys of awards and events checked at once, although the session may have deferred all constraints.
-- Deferred, they would fail the COMMIT of the write if another transaction deletes the user meanwhile.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    BEGIN
        SET CONSTRAINTS "public"."badges_badge_user_id_fk", "public"."badges_badgeevent_user_id_fk" IMMEDIATE;
    EXCEPTION WHEN undefined_object OR foreign_key_violation THEN
        NULL;  -- there is none to defer, or loaddata has loaded badges of users whom it has yet to load
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_check_keys_at_once" IS 'Made by django-pg-badges; {"summary": "Has the foreign keys of awards and events checked at once, although the session may have deferred all constraints.", "generator": 22, "badges": [], "body": "87728cfad49a3f84"}';
REVOKE ALL ON FUNCTION "public"."badges_check_keys_at_once" FROM PUBLIC;

-- create function badges_wait: new
CREATE OR REPLACE FUNCTION "public"."badges_wait"(buckets integer[], busy integer[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Waits up to BADGES_WAIT for the locks of buckets that other transactions hold. Returns the buckets that count as not
-- locked; NULL if there are none.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + '10ms';
    bucket integer;
BEGIN
    -- Above READ COMMITTED the snapshot is older than the lock: what was committed in between is not seen. And where
    -- the condition of one badge reads other badges, awards could oscillate (A is revoked because B was awarded, and
    -- the reverse). In both cases every bucket counts as not locked: nothing is revoked, and pending checks are left.
    IF current_setting('transaction_isolation') <> 'read committed' OR pg_trigger_depth() > 5 THEN
        RETURN buckets;
    END IF;
    -- A bulk statement never waits, and a transaction that has waited in vain does not wait again.
    IF cardinality(busy) > 16
       OR (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
           AND "public"."badges_sealed"('patience') IS NOT NULL)
    THEN
        RETURN busy;
    END IF;
    FOREACH bucket IN ARRAY coalesce(busy, '{}') LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock(1650549863, bucket);
            busy := nullif(array_remove(busy, bucket), '{}');
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM "public"."badges_seal"('patience', '');
            RETURN busy;
        END;
        IF busy IS NULL THEN
            RETURN NULL;
        END IF;
        -- The remaining buckets share the time that is left. At least 1 ms, as 0 would mean no limit.
        PERFORM set_config(
            'lock_timeout', greatest(1, ceil(1000 * extract(epoch FROM deadline - clock_timestamp()))) || 'ms', true);
    END LOOP;
    RETURN busy;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_wait" IS 'Made by django-pg-badges; {"summary": "Waits up to BADGES_WAIT for the locks of buckets that other transactions hold.", "generator": 22, "badges": [], "body": "ca7d963a6badfba9"}';
REVOKE ALL ON FUNCTION "public"."badges_wait" FROM PUBLIC;

-- create function badges_deferred: new
CREATE OR REPLACE FUNCTION "public"."badges_deferred"(asked text[])
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Returns those of the badges that are deferred: three evaluations of theirs took longer than BADGES_BUDGET.
-- No write evaluates them: it leaves pending checks. NULL if there are none. As long as no evaluation has taken too
-- long, the session reads the table once a second. It may set badges.look itself, and then evaluates what is slow.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    IF NOT EXISTS (SELECT FROM "public"."badges_overrun") THEN
        PERFORM set_config('badges.look', (date_part('epoch', clock_timestamp())::bigint + 1)::text, false);
        RETURN NULL;
    END IF;
    RETURN (
        SELECT array_agg(slow.code)
        FROM (
            SELECT each.code
            FROM "public"."badges_overrun" AS o
            CROSS JOIN unnest(o.codes) AS each (code)
            WHERE 100 > 0 AND each.code = ANY (asked)
            GROUP BY each.code
            HAVING count(*) >= 3
        ) AS slow);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_deferred" IS 'Made by django-pg-badges; {"summary": "Returns those of the badges that are deferred: three evaluations of theirs took longer than BADGES_BUDGET.", "generator": 22, "badges": [], "body": "8fc83928ee61d903"}';
REVOKE ALL ON FUNCTION "public"."badges_deferred" FROM PUBLIC;

-- create function badges_note_overrun: new
CREATE OR REPLACE FUNCTION "public"."badges_note_overrun"(
    slow_codes text[],
    due timestamp with time zone,
    evaluations bigint)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1ms'
AS $badges$
-- Records that badges, evaluated together so many times, took longer than BADGES_BUDGET each time.
-- It was due, that is when the budget of one evaluation was spent, at the given time.
-- Each row is inserted without reading others, so writers wait for nothing here, and there are few: once there are
-- three of a badge, no write evaluates it.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    milliseconds CONSTANT double precision :=
        (100 + 1000 * extract(epoch FROM clock_timestamp() - due)) / greatest(evaluations, 1);
BEGIN
    IF milliseconds > 100 AND cardinality(slow_codes) > 0 THEN
        BEGIN
            INSERT INTO "public"."badges_overrun" (codes, milliseconds)
            SELECT slow_codes, milliseconds FROM generate_series(1, least(evaluations, 3));
            PERFORM set_config('badges.look', '', false);
        EXCEPTION WHEN lock_not_available THEN
            NULL;  -- the table is locked: the next one is recorded
        END;
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_overrun" IS 'Made by django-pg-badges; {"summary": "Records that badges, evaluated together so many times, took longer than BADGES_BUDGET each time.", "generator": 22, "badges": [], "body": "654db7f127f4c5ad"}';
REVOKE ALL ON FUNCTION "public"."badges_note_overrun" FROM PUBLIC;

-- create function badges_note_slow: new
CREATE OR REPLACE FUNCTION "public"."badges_note_slow"(slow_code text, due timestamp with time zone)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1ms'
AS $badges$
-- Records that settling a pending check took longer than BADGES_BUDGET for this badge alone.
-- If it was evaluated together with others when it was deferred, those are not deferred any longer, save the levels of
-- the same progress. A write that settles counts as one that evaluates.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    BEGIN
        UPDATE "public"."badges_overrun" AS o
        SET codes = ARRAY(
                SELECT each.code
                FROM unnest(o.codes) AS each (code)
                WHERE each.code = slow_code
                   OR EXISTS (
                       SELECT FROM "public"."badges_badgedefinition" AS d
                       JOIN "public"."badges_badgedefinition" AS slow USING (progress)
                       WHERE slow.code = slow_code AND d.code = each.code AND d.progress <> ''))
        WHERE o.ctid = ANY (ARRAY(
            SELECT o.ctid FROM "public"."badges_overrun" AS o
            WHERE slow_code = ANY (o.codes) AND cardinality(o.codes) > 1
            FOR UPDATE SKIP LOCKED));
    EXCEPTION WHEN lock_not_available OR serialization_failure THEN
        NULL;  -- the next one records it
    END;
    IF pg_trigger_depth() > 0 THEN
        PERFORM "public"."badges_note_overrun"(ARRAY[slow_code], due, 1);
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_slow" IS 'Made by django-pg-badges; {"summary": "Records that settling a pending check took longer than BADGES_BUDGET for this badge alone.", "generator": 22, "badges": [], "body": "d747e029e49b464d"}';
REVOKE ALL ON FUNCTION "public"."badges_note_slow" FROM PUBLIC;

-- create function badges_defer: new
CREATE OR REPLACE FUNCTION "public"."badges_defer"(deferred_code text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Defers a badge: writes leave pending checks instead of evaluating its condition, until badges_resume() is called.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    INSERT INTO "public"."badges_overrun" (codes)
    SELECT ARRAY[deferred_code] FROM generate_series(1, 3);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_defer" IS 'Made by django-pg-badges; {"summary": "Defers a badge: writes leave pending checks instead of evaluating its condition, until badges_resume() is called.", "generator": 22, "badges": [], "body": "7fff2a95ddec2105"}';
REVOKE ALL ON FUNCTION "public"."badges_defer" FROM PUBLIC;

-- create function badges_resume: new
CREATE OR REPLACE FUNCTION "public"."badges_resume"(resumed_code text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Has writes evaluate a deferred badge again, and returns whether it was deferred.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    was_deferred CONSTANT boolean := "public"."badges_deferred"(ARRAY[resumed_code]) IS NOT NULL;
BEGIN
    -- Other badges that were evaluated together with it stay as they are.
    UPDATE "public"."badges_overrun" AS o
    SET codes = array_remove(o.codes, resumed_code)
    WHERE resumed_code = ANY (o.codes);
    DELETE FROM "public"."badges_overrun" AS o WHERE o.codes = '{}';
    RETURN was_deferred;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_resume" IS 'Made by django-pg-badges; {"summary": "Has writes evaluate a deferred badge again, and returns whether it was deferred.", "generator": 22, "badges": [], "body": "1c2220e813a0ac8e"}';
REVOKE ALL ON FUNCTION "public"."badges_resume" FROM PUBLIC;

-- create function badges_beside: new
CREATE OR REPLACE FUNCTION "public"."badges_beside"()
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the other transactions of this database that are open, by their ids and virtual ids.
-- A transaction that has written nothing has a virtual id only, and a prepared one no virtual id any longer.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    RETURN ARRAY(
        SELECT coalesce(l.virtualxid, l.transactionid::text)
        FROM pg_locks AS l
        LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE l.locktype IN ('virtualxid', 'transactionid') AND l.granted AND l.mode = 'ExclusiveLock'
          AND l.pid IS DISTINCT FROM pg_backend_pid()
          AND CASE WHEN l.pid IS NULL THEN
                  EXISTS (
                      SELECT FROM pg_prepared_xacts AS x
                      WHERE x.transaction = l.transactionid AND x.database = current_database())
              ELSE a.datname = current_database() AND a.backend_type <> 'autovacuum worker' END);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_beside" IS 'Made by django-pg-badges; {"summary": "Returns the other transactions of this database that are open, by their ids and virtual ids.", "generator": 22, "badges": [], "body": "e0402aaa789e8453"}';
REVOKE ALL ON FUNCTION "public"."badges_beside" FROM PUBLIC;

-- create function badges_move_checks: new
CREATE OR REPLACE FUNCTION "public"."badges_move_checks"(former_key integer, moved_user integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $badges$
-- Moves pending checks to the new key of their user. Those that an open transaction has locked stay.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    WITH moved AS (
        DELETE FROM "public"."badges_pendingcheck" AS p
        WHERE p.id IN (
            SELECT p.id FROM "public"."badges_pendingcheck" AS p
            WHERE p.user_id = former_key
            FOR UPDATE SKIP LOCKED)
        RETURNING p.*
    )
    INSERT INTO "public"."badges_pendingcheck"
        (bucket, user_id, code, thing, what, evidence, noted_by, noted_at, failed_at)
    SELECT (moved_user::bigint OPERATOR(pg_catalog.&) 1023)::integer,
           moved_user, m.code, m.thing, m.what, m.evidence, m.noted_by, m.noted_at, m.failed_at
    FROM moved AS m
    ON CONFLICT DO NOTHING;  -- the same transaction has left the same check under the new key
END
$badges$;
COMMENT ON FUNCTION "public"."badges_move_checks" IS 'Made by django-pg-badges; {"summary": "Moves pending checks to the new key of their user.", "generator": 22, "badges": [], "body": "3879cae95b4f9317"}';
REVOKE ALL ON FUNCTION "public"."badges_move_checks" FROM PUBLIC;

-- create function badges_note_key: new
CREATE OR REPLACE FUNCTION "public"."badges_note_key"(left_under text, moved_to text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
AS $badges$
-- Moves the pending checks of a user whose key changes, and notes the former key.
-- Other transactions may leave further checks under it until they end: badges_follow() moves these. Badges and events
-- follow by their foreign keys. Never fails, save with a serialization failure.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    BEGIN
        -- With the keys before that, which are still known as well.
        INSERT INTO "public"."badges_formerkey" (former_key, user_key)
        SELECT f.former_key, moved_to
        FROM "public"."badges_formerkey" AS f
        WHERE f.user_key = left_under
        UNION
        SELECT left_under, moved_to;
        BEGIN
            PERFORM "public"."badges_move_checks"(left_under::integer, moved_to::integer);
        EXCEPTION WHEN serialization_failure OR lock_not_available THEN
            -- One of them has been settled since the snapshot, or the table is locked. The others are moved later.
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
        END;
    EXCEPTION WHEN OTHERS THEN
        -- The change of the key succeeds in any case. award_badges finds what a check would have.
        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
            RAISE;
        END IF;
        RAISE WARNING 'pending checks do not follow user % to key %: %', left_under, moved_to, SQLERRM;
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_key" IS 'Made by django-pg-badges; {"summary": "Moves the pending checks of a user whose key changes, and notes the former key.", "generator": 22, "badges": [], "body": "04d256e98dd32601"}';
REVOKE ALL ON FUNCTION "public"."badges_note_key" FROM PUBLIC;

-- create function badges_follow: new
CREATE OR REPLACE FUNCTION "public"."badges_follow"()
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = '10ms'
AS $badges$
-- Moves the pending checks of users whose key has changed: those that other transactions left under a former key.
-- A former key is forgotten once all transactions have ended that ran beside the change, and no check is left under it.
-- Does nothing above READ COMMITTED.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    former record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    BEGIN
        -- All that run now, and those that began since the change, are before this transaction, if it begins to write
        -- here and now: their ids are lower than its own.
        IF pg_current_xact_id_if_assigned() IS NULL THEN
            UPDATE "public"."badges_formerkey" AS f
            SET known_before = pg_current_xact_id()::text::bigint
            WHERE f.ctid = ANY (ARRAY(
                SELECT f.ctid FROM "public"."badges_formerkey" AS f
                WHERE f.known_before IS NULL
                FOR UPDATE SKIP LOCKED));
        END IF;
        FOR former IN
            SELECT f.former_key::integer AS former_key, f.user_key::integer AS user_key
            FROM "public"."badges_formerkey" AS f
            ORDER BY f.at
        LOOP
            -- A key that another user has by now is that user's.
            IF EXISTS (SELECT FROM "public"."badges_pendingcheck" AS p WHERE p.user_id = former.former_key)
               AND NOT EXISTS (SELECT FROM "public"."auth_user" AS u WHERE u."id" = former.former_key)
            THEN
                PERFORM "public"."badges_move_checks"(former.former_key, former.user_key);
            END IF;
        END LOOP;
        -- In one snapshot: whatever those transactions have left is visible in it.
        DELETE FROM "public"."badges_formerkey" AS f
        WHERE f.ctid = ANY (ARRAY(
            SELECT f.ctid FROM "public"."badges_formerkey" AS f
            WHERE f.known_before <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
              AND NOT EXISTS (
                  SELECT FROM "public"."badges_pendingcheck" AS p
                  WHERE p.user_id = f.former_key::integer
                    AND NOT EXISTS (SELECT FROM "public"."auth_user" AS u WHERE u."id" = f.former_key::integer))
            FOR UPDATE SKIP LOCKED));
    EXCEPTION WHEN lock_not_available THEN
        NULL;  -- one of the tables is locked: the next call does it
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_follow" IS 'Made by django-pg-badges; {"summary": "Moves the pending checks of users whose key has changed: those that other transactions left under a former key.", "generator": 22, "badges": [], "body": "f45ddbcea3a2233f"}';
REVOKE ALL ON FUNCTION "public"."badges_follow" FROM PUBLIC;

-- create function badges_note_failure: new
CREATE OR REPLACE FUNCTION "public"."badges_note_failure"(
    failed_code text,
    failed_sqlstate text,
    failed_message text,
    times integer DEFAULT 1,
    failed_tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '200ms'
AS $badges$
-- Records that the condition of a badge has failed.
-- It counts in any row of that failure which no other transaction has locked, or else inserts a row: writers never wait
-- for each other here, and there are at most as many rows as there were concurrent writers.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    noted jsonb := coalesce("public"."badges_sealed"('noted'), '{}');
    kind text := failed_sqlstate || failed_code;
    is_locked boolean := false;
BEGIN
    IF "public"."badges_sealed"('unrecorded') IS NOT NULL THEN
        -- The table was locked before in this transaction: what it costs to find that out again is bounded.
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    -- A transaction records the same failure at most 100 times: each update of the row makes the next one slower.
    IF (noted ->> kind)::integer >= 100 THEN
        RETURN;
    END IF;
    noted := noted || jsonb_build_object(kind, coalesce((noted ->> kind)::integer, 0) + 1);
    PERFORM "public"."badges_seal"('noted', noted::text);
    BEGIN
        UPDATE "public"."badges_failure"
        SET occurrences = occurrences + times, last_at = clock_timestamp(), message = failed_message
        WHERE id = (
            SELECT f.id FROM "public"."badges_failure" AS f
            WHERE f.code = failed_code AND f.sqlstate = failed_sqlstate AND f.tenant = failed_tenant
            LIMIT 1 FOR UPDATE SKIP LOCKED
        );
        IF FOUND THEN
            RETURN;
        END IF;
    EXCEPTION
        WHEN serialization_failure OR numeric_value_out_of_range THEN
            NULL;  -- another transaction has updated the row since the snapshot, or its counter is full
        WHEN lock_not_available THEN
            is_locked := true;
    END;
    IF NOT is_locked THEN
        BEGIN
            INSERT INTO "public"."badges_failure" (code, sqlstate, message, occurrences, tenant)
            VALUES (failed_code, failed_sqlstate, failed_message, times, failed_tenant);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END IF;
    -- The table is locked, and no write waits for it longer: the server's log has to do.
    PERFORM "public"."badges_seal"('unrecorded', '');
    RAISE WARNING 'badge % failed: % (SQLSTATE %); and that could not be recorded, as the table was locked',
        failed_code, failed_message, failed_sqlstate;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_failure" IS 'Made by django-pg-badges; {"summary": "Records that the condition of a badge has failed.", "generator": 22, "badges": [], "body": "224bea1bf5ffede1"}';
REVOKE ALL ON FUNCTION "public"."badges_note_failure" FROM PUBLIC;

-- create function badges_note_misplaced: new
CREATE OR REPLACE FUNCTION "public"."badges_note_misplaced"(
    codes text[],
    own_table text,
    schema text,
    name text,
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Records that a trigger function was fired by another table than its own, where it awards nothing.
-- The table was renamed, moved to another schema or made a shard. Each badge has one such failure per transaction.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    noted CONSTANT jsonb := coalesce("public"."badges_sealed"('noted'), '{}');
BEGIN
    PERFORM "public"."badges_note_failure"(
        failed.code,
        '55000',
        format('its trigger was made for %s and fired on %I.%I; run create_badge_triggers', own_table, schema, name),
        1,
        tenant)
    FROM unnest(codes) AS failed (code)
    WHERE NOT noted ? ('55000' || failed.code);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_note_misplaced" IS 'Made by django-pg-badges; {"summary": "Records that a trigger function was fired by another table than its own, where it awards nothing.", "generator": 22, "badges": [], "body": "8ded6191ea788d14"}';
REVOKE ALL ON FUNCTION "public"."badges_note_misplaced" FROM PUBLIC;

-- create function badges_same_types: new
CREATE OR REPLACE FUNCTION "public"."badges_same_types"(place text, columns text[], types regtype[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Raises an error if columns of a table have other types than when badges_check was made.
-- Stored values of the new types may be none of the old ones. The check is kept until create_badge_triggers has run.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    IF EXISTS (
        SELECT FROM unnest(columns, types) AS made (name, type)
        JOIN pg_attribute AS a ON a.attrelid = to_regclass(place) AND a.attname = made.name AND NOT a.attisdropped
        JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE t.typtype <> 'd' AND a.atttypid <> made.type)
    THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the type of a column of %s has changed', place),
            HINT = 'Run create_badge_triggers.';
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_same_types" IS 'Made by django-pg-badges; {"summary": "Raises an error if columns of a table have other types than when badges_check was made.", "generator": 22, "badges": [], "body": "fba753af1acb230a"}';
REVOKE ALL ON FUNCTION "public"."badges_same_types" FROM PUBLIC;

-- create function badges_check_in: new
CREATE OR REPLACE FUNCTION "public"."badges_check_in"(
    tenant text,
    badge_code text,
    asks text,
    checked_user integer,
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
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
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
$badges$;
COMMENT ON FUNCTION "public"."badges_check_in" IS 'Made by django-pg-badges; {"summary": "Evaluates the condition of one badge for one user, among the tables of a tenant.", "generator": 22, "badges": [], "body": "3f2a41d11bc091aa"}';
REVOKE ALL ON FUNCTION "public"."badges_check_in" FROM PUBLIC;

-- create function badges_user_in: new
CREATE OR REPLACE FUNCTION "public"."badges_user_in"(
    tenant text,
    starting_table text,
    path text,
    start text,
    OUT found_user integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the user to whom a path leads among the tables of a tenant; NULL if there is none.
-- Calls the function badges_user_of of the tenant's schema.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    own CONSTANT text := format('%I.badges_user_of', tenant);
BEGIN
    -- Another role may have taken the schema over since.
    IF EXISTS (
        SELECT FROM pg_proc AS p
        WHERE p.oid = to_regproc(own) AND p.proowner = (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user))
    THEN
        EXECUTE format('SELECT %s($1, $2, $3)', own) INTO found_user USING starting_table, path, start;
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_user_in" IS 'Made by django-pg-badges; {"summary": "Returns the user to whom a path leads among the tables of a tenant; NULL if there is none.", "generator": 22, "badges": [], "body": "44dc3076a3006e9b"}';
REVOKE ALL ON FUNCTION "public"."badges_user_in" FROM PUBLIC;

-- create function badges_stored: new
CREATE OR REPLACE FUNCTION "public"."badges_stored"(columns json)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the columns of a changed row as evidence and pending checks store them.
-- A value above 32 MB is its first characters, its length and a digest, as jsonb holds no more than 256 MB. A check
-- that needs such a value is evaluated for the row in its table.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    IF octet_length(columns::text) <= 33554432 THEN
        RETURN columns::jsonb;
    END IF;
    RETURN (
        SELECT jsonb_object_agg(
                   each.key,
                   CASE WHEN octet_length(each.value::text) > 33554432 THEN
                       jsonb_build_object(
                           'first', left(long.text, 100),
                           'length', length(long.text),
                           'sha256', encode(sha256(convert_to(long.text, 'UTF8')), 'hex'))
                   ELSE each.value::jsonb END)
        FROM json_each(columns) AS each
        LEFT JOIN LATERAL (
            SELECT each.value #>> '{}' AS text
            OFFSET 0  -- otherwise evaluated for each use of its result
        ) AS long ON octet_length(each.value::text) > 33554432);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_stored" IS 'Made by django-pg-badges; {"summary": "Returns the columns of a changed row as evidence and pending checks store them.", "generator": 22, "badges": [], "body": "08d8988f36321cd3"}';
REVOKE ALL ON FUNCTION "public"."badges_stored" FROM PUBLIC;

-- create function badges_shortened: new
CREATE OR REPLACE FUNCTION "public"."badges_shortened"(evidence jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the evidence of an award, in which a value above 1 kB is its first characters, its length and a digest.
-- The values of pending checks stay whole, as a condition is evaluated with them.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    -- The cast, as a stored value may be compressed.
    IF octet_length(evidence::text) > 1024 THEN
        SELECT evidence || jsonb_object_agg(side.name, side.columns)
        INTO evidence
        FROM (
            SELECT side.key AS name,
                   jsonb_object_agg(
                       each.key,
                       CASE WHEN octet_length(each.text) > 1024 THEN
                           jsonb_build_object(
                               'first', left(each.text, 100),
                               'length', length(each.text),
                               'sha256', encode(sha256(convert_to(each.text, 'UTF8')), 'hex'))
                       ELSE each.value END) AS columns
            FROM jsonb_each(evidence) AS side
            CROSS JOIN LATERAL (
                SELECT c.key, c.value, c.value #>> '{}' AS text FROM jsonb_each(side.value) AS c
                OFFSET 0  -- otherwise evaluated for each use of its result
            ) AS each
            WHERE side.key IN ('new', 'old') AND jsonb_typeof(side.value) = 'object'
            GROUP BY side.key
        ) AS side
        HAVING count(*) > 0;
    END IF;
    RETURN evidence;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_shortened" IS 'Made by django-pg-badges; {"summary": "Returns the evidence of an award, in which a value above 1 kB is its first characters, its length and a digest.", "generator": 22, "badges": [], "body": "2dba78732137fe98"}';
REVOKE ALL ON FUNCTION "public"."badges_shortened" FROM PUBLIC;

-- create function badges_record_parts: new
CREATE OR REPLACE FUNCTION "public"."badges_record_parts"(
    users integer[],
    things text[],
    codes text[],
    evidences jsonb[],
    verdicts text[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '1ms'
AS $badges$
-- Inserts the awards of a statement that could not be inserted together: bucket by bucket, then row by row.
-- Returns the positions of the awards that are still missing because another open transaction blocks them.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    part integer[];
    place integer;
    missing integer[];
    vain integer := 0;
BEGIN
    FOR part IN
        SELECT array_agg(found.place)
        FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
        WHERE found.verdict = 'award' AND found.user_id IS NOT NULL
        GROUP BY (found.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer
    LOOP
        -- After ten buckets without success the rest is left as well: the milliseconds add up.
        IF vain = 10 THEN
            missing := missing || part;
            CONTINUE;
        END IF;
        BEGIN
            IF EXISTS (
                SELECT FROM unnest(part) AS each (place)
                WHERE (
                    SELECT true FROM "public"."auth_user" AS u
                    WHERE u."id" = users[each.place] FOR KEY SHARE) IS NULL)
            THEN
                RAISE foreign_key_violation;
            END IF;
            DELETE FROM "public"."badges_badge" AS b
            USING unnest(part) AS each (place)
            WHERE b.user_id = users[each.place] AND b.code COLLATE "C" = codes[each.place]
              AND b.thing = things[each.place] AND b.expires_at <= statement_timestamp();
            INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
            SELECT found.user_id, found.code, found.thing, "public"."badges_shortened"(found.evidence),
                   (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
                    FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code)
            FROM unnest(part) AS each (place)
            CROSS JOIN LATERAL (
                SELECT users[each.place], codes[each.place], things[each.place], evidences[each.place]
            ) AS found (user_id, code, thing, evidence)
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                missing := missing || part;
                vain := vain + 1;
            ELSE
                FOREACH place IN ARRAY part LOOP
                    BEGIN
                        IF (SELECT true FROM "public"."auth_user" AS u
                            WHERE u."id" = users[place] FOR KEY SHARE) IS NULL
                        THEN
                            RAISE foreign_key_violation;
                        END IF;
                        DELETE FROM "public"."badges_badge" AS b
                        WHERE b.user_id = users[place] AND b.code COLLATE "C" = codes[place] AND b.thing = things[place]
                          AND b.expires_at <= statement_timestamp();
                        INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                        SELECT found.user_id, found.code, found.thing, "public"."badges_shortened"(found.evidence),
                               (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
                                FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code)
                        FROM (VALUES (users[place], codes[place], things[place], evidences[place]))
                            AS found (user_id, code, thing, evidence)
                        ON CONFLICT DO NOTHING;
                    EXCEPTION WHEN OTHERS THEN
                        IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                            RAISE;
                        ELSIF left(SQLSTATE, 2) IN ('40', '53', '55') OR SQLSTATE = '23503' THEN
                            -- A foreign key: the user or the definition is not there yet, or is deleted meanwhile, or
                            -- is newer than the snapshot. The settler sees which.
                            missing := missing || place;
                        ELSE
                            PERFORM "public"."badges_note_failure"(
                                codes[place], SQLSTATE, SQLERRM, 1, coalesce(evidences[place] ->> 'tenant', ''));
                        END IF;
                    END;
                END LOOP;
            END IF;
        END;
    END LOOP;
    RETURN missing;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_record_parts" IS 'Made by django-pg-badges; {"summary": "Inserts the awards of a statement that could not be inserted together: bucket by bucket, then row by row.", "generator": 22, "badges": [], "body": "a84036c921c841c5"}';
REVOKE ALL ON FUNCTION "public"."badges_record_parts" FROM PUBLIC;

-- create function badges_record: new
CREATE OR REPLACE FUNCTION "public"."badges_record"(
    users integer[],
    things text[],
    codes text[],
    evidences jsonb[],
    verdicts text[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = '10ms'
AS $badges$
-- Carries out the verdicts of a trigger: awards, revokes, and leaves pending checks.
-- A verdict is 'award', 'revoke' or 'check'. What cannot be done in time becomes a pending check. Never fails, and
-- waits for each lock of another transaction no longer than BADGES_WAIT.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    previous_event CONSTANT text := current_setting('badges.event', true);
    left_over integer[];
    wanted integer[];
    about text[];
BEGIN
    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    IF 'award' = ANY (verdicts) THEN
        BEGIN
            -- Users who are not there yet (a deferred foreign key), or whom an older snapshot does not show.
            left_over := ARRAY(
                SELECT found.place
                FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
                WHERE found.verdict = 'award'
                  AND (
                      SELECT true FROM "public"."auth_user" AS u
                      WHERE u."id" = found.user_id FOR KEY SHARE) IS NULL);
            IF EXISTS (
                SELECT FROM "public"."badges_badgedefinition" AS d
                WHERE d.code = ANY (codes) AND d.expires_after <> ''
            ) THEN
                DELETE FROM "public"."badges_badge" AS b
                USING unnest(users, things, codes, verdicts) AS found (user_id, thing, code, verdict)
                WHERE found.verdict = 'award'
                  AND b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  AND b.expires_at <= statement_timestamp();
            END IF;
            INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
            SELECT found.user_id, found.code, found.thing, "public"."badges_shortened"(found.evidence),
                   (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
                    FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code)
            FROM unnest(users, things, codes, evidences, verdicts) WITH ORDINALITY
                AS found (user_id, thing, code, evidence, verdict, place)
            WHERE found.verdict = 'award' AND found.place <> ALL (left_over)
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM "public"."badges_seal"('patience', '');
            END IF;
            left_over := left_over || "public"."badges_record_parts"(users, things, codes, evidences, verdicts);
        END;
    END IF;
    IF 'revoke' = ANY (verdicts) THEN
        BEGIN
            PERFORM "public"."badges_seal"('event', jsonb_build_object(
                'cause', (evidences[1] ->> 'operation') || ' on ' || (evidences[1] ->> 'table'))::text);
            DELETE FROM "public"."badges_badge" AS b
            USING unnest(users, things, codes, evidences, verdicts) AS found (user_id, thing, code, evidence, verdict)
            WHERE found.verdict = 'revoke'
              AND b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
              AND NOT b.by_hand
              -- Of the tenants that share this table, the one whose rows have earned a badge revokes it.
              AND (b.evidence ->> 'tenant') IS NOT DISTINCT FROM (found.evidence ->> 'tenant');
            PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM "public"."badges_seal"('patience', '');
            END IF;
            left_over := left_over || array_positions(verdicts, 'revoke');
        END;
    END IF;
    IF 'check' = ANY (verdicts) OR cardinality(left_over) > 0 THEN
        BEGIN
            -- Longer than BADGES_WAIT, as two writers that extend the table wait for each other a moment, and without a
            -- pending check a badge could be lost. Bounded all the same: the table itself may be locked.
            PERFORM set_config(
                'lock_timeout',
                CASE WHEN "public"."badges_sealed"('unwritten') IS NULL THEN '200ms' ELSE '1ms' END,
                true);
            -- What the check is about: the same for checks that one evaluation decides.
            about := ARRAY(
                SELECT CASE WHEN found.evidence ? 'waits' THEN concat_ws(' ', 'waits', found.evidence ->> 'tenant')
                            WHEN found.evidence ->> 'asks' = 'state' THEN coalesce(found.evidence ->> 'tenant', '')
                            ELSE encode(sha256(convert_to(concat_ws(
                                '|', coalesce(found.evidence ->> 'asks', found.evidence ->> 'operation'),
                                found.evidence -> 'new', found.evidence -> 'old', found.evidence -> 'tenant'),
                                'UTF8')), 'base64') END
                FROM unnest(evidences) WITH ORDINALITY AS found (evidence, place)
                ORDER BY found.place);
            wanted := ARRAY(
                SELECT found.place
                FROM unnest(users, verdicts) WITH ORDINALITY AS found (user_id, verdict, place)
                WHERE (found.verdict = 'check' OR found.place = ANY (left_over))
                  AND (found.user_id IS NOT NULL OR evidences[found.place] ? 'path'));
            -- A check that is there already serves this transaction as well, if its lock is shared to the end: the
            -- settler then evaluates after this transaction has ended. Not so for a row that will be gone (OLD), nor
            -- for a check that waits for the transactions that are open at the end of this one.
            IF current_setting('transaction_isolation') IN ('read committed', 'repeatable read') THEN
                IF current_setting('transaction_isolation') = 'repeatable read' THEN
                    wanted := ARRAY(
                        SELECT each.place
                        FROM unnest(wanted) AS each (place)
                        WHERE NOT EXISTS (
                            SELECT FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id = users[each.place] AND p.code = codes[each.place]
                              AND p.thing = things[each.place] AND p.what = about[each.place]
                              AND p.noted_by = pg_current_xact_id()::text::bigint));
                END IF;
                BEGIN
                    wanted := ARRAY(
                        SELECT each.place FROM unnest(wanted) AS each (place)
                        EXCEPT ALL
                        SELECT each.place
                        FROM unnest(wanted) AS each (place)
                        CROSS JOIN LATERAL (
                            SELECT FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id = users[each.place] AND p.code = codes[each.place]
                              AND p.thing = things[each.place] AND p.what = about[each.place]
                              AND p.failed_at IS NULL
                            LIMIT 1
                            FOR SHARE SKIP LOCKED
                        ) AS shared
                        WHERE NOT evidences[each.place] ?| '{old,waits}');
                EXCEPTION WHEN serialization_failure THEN
                    NULL;  -- the check that the snapshot shows has been settled since
                END;
            END IF;
            INSERT INTO "public"."badges_pendingcheck" (bucket, user_id, code, thing, what, evidence)
            SELECT coalesce((found.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer, 0),
                   found.user_id, found.code, found.thing, found.what, found.evidence
            FROM unnest(wanted) AS each (place)
            CROSS JOIN LATERAL (
                SELECT users[each.place], codes[each.place], things[each.place], about[each.place],
                       evidences[each.place]
            ) AS found (user_id, code, thing, what, evidence)
            ON CONFLICT DO NOTHING;
            IF (current_setting('max_prepared_transactions') = '0'
                AND pg_catalog.pg_notification_queue_usage() < 0.5) THEN
                PERFORM pg_notify('badges', '');
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            -- The write succeeds. award_badges finds what it may have earned, and the failure asks for it.
            PERFORM "public"."badges_seal"('unwritten', '');
            PERFORM "public"."badges_note_failure"(
                found.code, '55P03', 'its pending checks could not be written, as their table was locked',
                count(*)::integer, coalesce(max(found.evidence ->> 'tenant'), ''))
            FROM unnest(codes, verdicts, evidences) WITH ORDINALITY AS found (code, verdict, evidence, place)
            WHERE found.verdict = 'check' OR found.place = ANY (left_over)
            GROUP BY found.code;
        END;
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_record" IS 'Made by django-pg-badges; {"summary": "Carries out the verdicts of a trigger: awards, revokes, and leaves pending checks.", "generator": 22, "badges": [], "body": "661c079a29433c56"}';
REVOKE ALL ON FUNCTION "public"."badges_record" FROM PUBLIC;

-- create function badges_postpone: new
CREATE OR REPLACE FUNCTION "public"."badges_postpone"(
    asks text,
    occasion jsonb,
    users integer[],
    things text[],
    news jsonb[],
    olds jsonb[],
    codes text[],
    reads jsonb[],
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Leaves a pending check of each badge for each changed row, where a lock or a resource could not be had.
-- Reads no table: whatever was locked a moment ago may be locked still.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    PERFORM "public"."badges_record"(
        array_agg(each.user_id),
        array_agg(each.thing),
        array_agg(each.code),
        array_agg(each.evidence),
        array_agg('check'::text))
    FROM (
        SELECT DISTINCT changed.user_id, changed.thing, badge.code,
               coalesce(
                   occasion,
                   jsonb_build_object(
                       'operation', asks,
                       'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.new) AS c
                               WHERE badge.reads -> 'new' ? c.key),
                       'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.old) AS c
                               WHERE badge.reads -> 'old' ? c.key))
                   || CASE tenant WHEN '' THEN '{}' ELSE jsonb_build_object('tenant', tenant) END) AS evidence
        FROM unnest(users, things, news, olds) AS changed (user_id, thing, new, old)
        CROSS JOIN unnest(codes, reads) AS badge (code, reads)
        WHERE changed.user_id IS NOT NULL AND changed.thing IS NOT NULL
    ) AS each;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_postpone" IS 'Made by django-pg-badges; {"summary": "Leaves a pending check of each badge for each changed row, where a lock or a resource could not be had.", "generator": 22, "badges": [], "body": "3b48bf40a439fc98"}';
REVOKE ALL ON FUNCTION "public"."badges_postpone" FROM PUBLIC;

-- create function badges_one_by_one: new
CREATE OR REPLACE FUNCTION "public"."badges_one_by_one"(
    asks text,
    occasion jsonb,
    users integer[],
    things text[],
    news jsonb[],
    olds jsonb[],
    codes text[],
    cross_row boolean[],
    revocable boolean[],
    reads jsonb[],
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Checks badges one by one for each changed row, after checking them together has failed.
-- A badge whose condition fails is recorded and skipped; the others are awarded as usual.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    item record;
    result record;
    stuck text[] := coalesce("public"."badges_deferred"(codes), '{}');
    due timestamptz;
    failures text[];
    place integer;
    failed_codes text[];
    sqlstates text[];
    messages text[];
    times integer[];
BEGIN
    FOR item IN
        SELECT changed.user_id, changed.thing, changed.new, changed.old,
               badge.code, badge.is_cross_row, badge.is_revocable, held.is_held,
               coalesce(
                   occasion,
                   jsonb_build_object(
                       'operation', asks,
                       'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.new) AS c
                               WHERE badge.reads -> 'new' ? c.key),
                       'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.old) AS c
                               WHERE badge.reads -> 'old' ? c.key))
                   || CASE tenant WHEN '' THEN '{}' ELSE jsonb_build_object('tenant', tenant) END) AS evidence
        FROM unnest(users, things, news, olds) AS changed (user_id, thing, new, old)
        CROSS JOIN unnest(codes, cross_row, revocable, reads) AS badge (code, is_cross_row, is_revocable, reads)
        CROSS JOIN LATERAL (
            SELECT EXISTS (
                SELECT FROM "public"."badges_badge" AS b
                WHERE b.user_id = changed.user_id AND b.code COLLATE "C" = badge.code AND b.thing = changed.thing
                  AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())) AS is_held
        ) AS held
        WHERE changed.user_id IS NOT NULL AND changed.thing IS NOT NULL AND (badge.is_revocable OR NOT held.is_held)
    LOOP
        BEGIN
            IF item.code = ANY (stuck) THEN
                RAISE lock_not_available;
            END IF;
            due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            IF tenant <> '' THEN
                SELECT * INTO result
                FROM "public"."badges_check_in"(
                    tenant, item.code, asks, item.user_id, item.thing, item.new, item.old, false);
            ELSE
                SELECT * INTO result
                FROM "public"."badges_check"(item.code, asks, item.user_id, item.thing, item.new, item.old, false);
            END IF;
            IF clock_timestamp() > due THEN
                PERFORM "public"."badges_note_overrun"(ARRAY[item.code], due, 1);
                stuck := stuck || item.code;  -- one is enough for a write
            END IF;
            IF result.earned AND NOT item.is_held THEN
                PERFORM "public"."badges_record"(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code],
                    ARRAY[coalesce(result.evidence, item.evidence)], ARRAY['award']);
            END IF;
            -- The locks were released with the failed statement, so a concurrent transaction may be about to change
            -- this result: a pending check is left.
            IF item.is_revocable OR item.is_cross_row AND NOT result.earned THEN
                PERFORM "public"."badges_record"(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code],
                    ARRAY[coalesce(result.evidence, item.evidence)], ARRAY['check']);
            END IF;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF left(SQLSTATE, 2) IN ('40', '53', '55')
                  OR left(SQLSTATE, 2) = '42' AND item.evidence ->> 'old' IS NOT NULL
            THEN
                -- Not an error of the condition: a deadlock, a lock timeout, a lack of memory, a column whose type has
                -- changed. A pending check is left. So for a right, a table or a function that is missing, if OLD
                -- decides the badge, as nothing else keeps that row.
                -- After one lock timeout (a table that is being altered, say) the badge's other rows are not tried.
                IF SQLSTATE = '55P03' AND item.code <> ALL (stuck) THEN
                    stuck := stuck || item.code;
                END IF;
                PERFORM "public"."badges_record"(
                    ARRAY[item.user_id], ARRAY[item.thing], ARRAY[item.code], ARRAY[item.evidence], ARRAY['check']);
            ELSE
                -- Recorded once for all rows, as each update of a row in one transaction makes the next one slower.
                place := array_position(failures, SQLSTATE || item.code);
                IF place IS NULL THEN
                    failures := failures || (SQLSTATE || item.code);
                    failed_codes := failed_codes || item.code;
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
            PERFORM "public"."badges_note_failure"(
                failed_codes[place], sqlstates[place], messages[place], times[place], tenant);
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'badge % failed: %; and that could not be recorded: %',
                failed_codes[place], messages[place], SQLERRM;
        END;
    END LOOP;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_one_by_one" IS 'Made by django-pg-badges; {"summary": "Checks badges one by one for each changed row, after checking them together has failed.", "generator": 22, "badges": [], "body": "4e8a6781699023b1"}';
REVOKE ALL ON FUNCTION "public"."badges_one_by_one" FROM PUBLIC;

-- create function badges_settle_locked: new
CREATE OR REPLACE FUNCTION "public"."badges_settle_locked"(
    ids uuid[],
    most integer,
    OUT settled integer,
    OUT kept integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = '10ms'
AS $badges$
-- Settles pending checks whose rows are locked already, by evaluating at most this many.
-- Checks that ask for the same are one evaluation, in a snapshot that is newer than the locks.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    previous_event CONSTANT text := current_setting('badges.event', true);
    pending record;
    result record;
    open text[];
    waiting uuid[];
    beside jsonb;
    is_held boolean;
    may_become_true boolean;
    due timestamptz;
    is_slow boolean := false;
    lacking text;
BEGIN
    settled := 0;
    kept := 0;
    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    -- Checks of rows whose user was not known when they were left: the row's path leads to the user now.
    IF EXISTS (SELECT FROM "public"."badges_pendingcheck" AS p WHERE p.id = ANY (ids) AND p.user_id IS NULL) THEN
        BEGIN
            WITH found AS (
                DELETE FROM "public"."badges_pendingcheck" AS p
                WHERE p.id = ANY (ids) AND p.user_id IS NULL
                RETURNING p.*,
                          CASE WHEN p.evidence ? 'tenant' THEN
                              "public"."badges_user_in"(
                                  p.evidence ->> 'tenant', p.evidence ->> 'table',
                                  p.evidence #>> '{path,name}', p.evidence #>> '{path,key}')
                          ELSE
                              "public"."badges_user_of"(
                                  p.evidence ->> 'table', p.evidence #>> '{path,name}',
                                  p.evidence #>> '{path,key}')
                          END AS key
            ), known AS (
                INSERT INTO "public"."badges_pendingcheck" (
                    bucket, user_id, code, thing, what, noted_at, noted_by, evidence)
                SELECT (found.key::bigint OPERATOR(pg_catalog.&) 1023)::integer,
                       found.key, found.code, found.thing, found.what, found.noted_at, found.noted_by,
                       found.evidence - 'path'
                FROM found
                WHERE found.key IS NOT NULL
                ON CONFLICT DO NOTHING
                RETURNING id
            )
            SELECT ids || array_agg(known.id) INTO ids FROM known;
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            kept := kept + (
                SELECT count(*) FROM "public"."badges_pendingcheck" AS p WHERE p.id = ANY (ids) AND p.user_id IS NULL);
            IF left(SQLSTATE, 2) NOT IN ('40', '53', '55') THEN
                UPDATE "public"."badges_pendingcheck" AS p SET failed_at = clock_timestamp()
                WHERE p.id = ANY (ids) AND p.user_id IS NULL;
                PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM, 1, failed.tenant)
                FROM (SELECT DISTINCT p.code, coalesce(p.evidence ->> 'tenant', '') AS tenant
                      FROM "public"."badges_pendingcheck" AS p
                      WHERE p.id = ANY (ids) AND p.user_id IS NULL) AS failed;
            END IF;
        END;
    END IF;
    -- Checks of users to whom a change gave rows: transactions that are open now, after its commit, may have written
    -- such rows without seeing the change. These checks are settled when those transactions have ended.
    IF EXISTS (SELECT FROM "public"."badges_pendingcheck" AS p WHERE p.id = ANY (ids) AND p.evidence ? 'waits') THEN
        -- Not the snapshot's list: its xmax is that of the last transaction that has ended, and others are beyond.
        open := ARRAY(
            SELECT l.transactionid::text FROM pg_locks AS l
            WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'
              AND l.pid IS DISTINCT FROM pg_backend_pid());
        UPDATE "public"."badges_pendingcheck" AS p
        SET evidence = p.evidence || jsonb_build_object('waits', to_jsonb(open))
        WHERE p.id = ANY (ids) AND p.evidence -> 'waits' = 'true';
        waiting := ARRAY(
            SELECT p.id FROM "public"."badges_pendingcheck" AS p
            WHERE p.id = ANY (ids) AND p.evidence ? 'waits' AND p.evidence -> 'waits' ?| open);
        kept := kept + cardinality(waiting);
        ids := ARRAY(SELECT each.id FROM unnest(ids) AS each (id) WHERE each.id <> ALL (waiting));
    END IF;
    -- Checks of rows that are gone (OLD): transactions that are open beside them may still make the condition true, and
    -- nothing else would evaluate them again. Before the evaluation, as whatever ends later is not seen by it.
    IF EXISTS (SELECT FROM "public"."badges_pendingcheck" AS p WHERE p.id = ANY (ids) AND p.evidence ? 'old') THEN
        beside := to_jsonb("public"."badges_beside"());
        waiting := ARRAY(
            SELECT p.id FROM "public"."badges_pendingcheck" AS p
            WHERE p.id = ANY (ids) AND p.evidence -> 'beside' <@ beside);
        kept := kept + cardinality(waiting);
        ids := ARRAY(SELECT each.id FROM unnest(ids) AS each (id) WHERE each.id <> ALL (waiting));
    END IF;
    PERFORM "public"."badges_seal"('event', '{"cause": "settled"}');
    FOR pending IN
        SELECT array_agg(p.id) AS ids, p.user_id, p.code, p.thing,
               (array_agg(p.evidence ORDER BY p.noted_by))[1] AS evidence,
               -- The badges of a paused or retired definition are never revoked.
               coalesce((SELECT d.revocable AND d.active AND d.retired_at IS NULL
                         FROM "public"."badges_badgedefinition" AS d WHERE d.code = p.code), false) AS is_revocable
        FROM "public"."badges_pendingcheck" AS p
        WHERE p.id = ANY (ids) AND p.user_id IS NOT NULL
        GROUP BY p.user_id, p.code, p.thing, p.what
        ORDER BY min(p.failed_at) NULLS FIRST, min(p.noted_by)
        LIMIT most
    LOOP
        BEGIN
            -- After one condition that is slow the rest is left to the next call, as this one holds locks of users.
            IF is_slow OR NOT pg_try_advisory_xact_lock(
                1650549863, (pending.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer)
            THEN
                kept := kept + cardinality(pending.ids);
                CONTINUE;
            END IF;
            DELETE FROM "public"."badges_badge" AS b
            WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code AND b.thing = pending.thing
              AND b.expires_at <= statement_timestamp();
            is_held := EXISTS (
                SELECT FROM "public"."badges_badge" AS b
                WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code AND b.thing = pending.thing);
            may_become_true := false;
            IF pending.is_revocable OR NOT is_held THEN
                due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                IF pending.evidence ? 'tenant' THEN
                    SELECT * INTO result
                    FROM "public"."badges_check_in"(
                        pending.evidence ->> 'tenant',
                        pending.code, coalesce(pending.evidence ->> 'asks', pending.evidence ->> 'operation'),
                        pending.user_id, pending.thing, pending.evidence -> 'new', pending.evidence -> 'old', true);
                ELSE
                    SELECT * INTO result
                    FROM "public"."badges_check"(
                        pending.code, coalesce(pending.evidence ->> 'asks', pending.evidence ->> 'operation'),
                        pending.user_id, pending.thing, pending.evidence -> 'new', pending.evidence -> 'old', true);
                END IF;
                IF clock_timestamp() > due THEN
                    is_slow := true;
                    PERFORM "public"."badges_note_slow"(pending.code, due);
                END IF;
                may_become_true := pending.evidence ? 'old' AND NOT result.earned;
                IF result.earned AND NOT is_held THEN
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT u."id", pending.code, pending.thing,
                           "public"."badges_shortened"(coalesce(result.evidence, pending.evidence)),
                           (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
                            FROM "public"."badges_badgedefinition" AS d WHERE d.code = pending.code)
                    FROM "public"."auth_user" AS u
                    WHERE u."id" = pending.user_id FOR KEY SHARE
                    ON CONFLICT DO NOTHING;
                ELSIF NOT result.earned AND pending.is_revocable THEN
                    DELETE FROM "public"."badges_badge" AS b
                    WHERE b.user_id = pending.user_id AND b.code COLLATE "C" = pending.code
                      AND b.thing = pending.thing AND NOT b.by_hand
                      AND (b.evidence ->> 'tenant') IS NOT DISTINCT FROM (pending.evidence ->> 'tenant');
                END IF;
            END IF;
            IF may_become_true THEN
                UPDATE "public"."badges_pendingcheck" AS p
                SET evidence = p.evidence || jsonb_build_object('beside', still.open)
                FROM (
                    SELECT q.id, jsonb_agg(each.id) AS open
                    FROM "public"."badges_pendingcheck" AS q
                    CROSS JOIN jsonb_array_elements_text(beside) AS each (id)
                    WHERE q.id = ANY (pending.ids) AND coalesce(q.evidence -> 'beside' ? each.id, true)
                    GROUP BY q.id
                ) AS still
                WHERE p.id = still.id;
            END IF;
            -- Unless the user has got another key meanwhile, to which it is moved before it is evaluated again.
            DELETE FROM "public"."badges_pendingcheck" AS p
            WHERE p.id = ANY (pending.ids)
              AND NOT (may_become_true AND coalesce(p.evidence -> 'beside' <@ beside, false))
              AND NOT (
                  EXISTS (SELECT FROM "public"."badges_formerkey" AS f WHERE f.former_key = pending.user_id::text)
                  AND NOT EXISTS (SELECT FROM "public"."auth_user" AS u WHERE u."id" = pending.user_id));
            IF FOUND THEN
                settled := settled + cardinality(pending.ids);
            ELSE
                kept := kept + cardinality(pending.ids);
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR foreign_key_violation THEN
                kept := kept + cardinality(pending.ids);
                -- The transaction waits in vain once, not for each of its checks.
                PERFORM "public"."badges_seal"('patience', ''), set_config('lock_timeout', '1ms', true);
            WHEN OTHERS OR assert_failure THEN
                GET STACKED DIAGNOSTICS lacking = COLUMN_NAME;
                IF SQLSTATE = '42703' AND lacking = 'evidence' THEN
                    -- The condition or its table has changed since: the stored values can never be evaluated again.
                    DELETE FROM "public"."badges_pendingcheck" AS p WHERE p.id = ANY (pending.ids);
                    PERFORM "public"."badges_note_failure"(
                        pending.code, SQLSTATE, SQLERRM, 1, coalesce(pending.evidence ->> 'tenant', ''));
                    settled := settled + cardinality(pending.ids);
                    CONTINUE;
                END IF;
                kept := kept + cardinality(pending.ids);
                IF left(SQLSTATE, 2) IN ('40', '53', '55') THEN
                    CONTINUE;  -- a lack of resources, for instance: no error of the condition
                END IF;
                UPDATE "public"."badges_pendingcheck" AS p SET failed_at = clock_timestamp()
                WHERE p.id = ANY (pending.ids);
                PERFORM "public"."badges_note_failure"(
                    pending.code, SQLSTATE, SQLERRM, 1, coalesce(pending.evidence ->> 'tenant', ''));
        END;
    END LOOP;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_settle_locked" IS 'Made by django-pg-badges; {"summary": "Settles pending checks whose rows are locked already, by evaluating at most this many.", "generator": 22, "badges": [], "body": "a335a89213c92997"}';
REVOKE ALL ON FUNCTION "public"."badges_settle_locked" FROM PUBLIC;

-- create function badges_settle: new
CREATE OR REPLACE FUNCTION "public"."badges_settle"(
    only_buckets integer[],
    most integer,
    OUT settled integer,
    OUT kept integer)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET IntervalStyle = 'postgres'
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = '10ms'
AS $badges$
-- Settles pending checks: locks the user's bucket, evaluates the condition in a newer snapshot, awards or revokes.
-- Evaluates at most this many, of the given buckets or (NULL) of all. A check stays while another open transaction
-- shares it, holds the lock or blocks the award. Does nothing above READ COMMITTED.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    -- A transaction never settles its own checks: they are for concurrent transactions, after its end.
    own CONSTANT bigint := coalesce(pg_current_xact_id_if_assigned()::text::bigint, 9223372036854775807);
    ids uuid[];
BEGIN
    settled := 0;
    kept := 0;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    BEGIN
        IF only_buckets IS NULL THEN
            PERFORM "public"."badges_follow"();
            -- One or two of them may be due to the machine.
            DELETE FROM "public"."badges_overrun" AS o
            WHERE o.at < clock_timestamp() - interval '1 hour' AND "public"."badges_deferred"(o.codes) IS NULL;
            only_buckets := ARRAY(SELECT DISTINCT p.bucket FROM "public"."badges_pendingcheck" AS p);
        END IF;
        -- First all locks, then, in later statements, the evaluations. Checks that open transactions share are skipped.
        ids := ARRAY(
            SELECT p.id FROM "public"."badges_pendingcheck" AS p
            WHERE p.bucket = ANY (only_buckets) AND p.failed_at IS NULL AND p.noted_by < own
            ORDER BY p.noted_by
            LIMIT most * 100
            FOR UPDATE SKIP LOCKED);
        IF cardinality(ids) < most THEN
            -- Those whose condition has failed come last.
            ids := ids || ARRAY(
                SELECT p.id FROM "public"."badges_pendingcheck" AS p
                WHERE p.bucket = ANY (only_buckets) AND p.failed_at IS NOT NULL AND p.noted_by < own
                ORDER BY p.failed_at
                LIMIT most
                FOR UPDATE SKIP LOCKED);
        END IF;
        -- Within the block, as the table of definitions may be locked as well.
        SELECT done.settled, done.kept INTO settled, kept FROM "public"."badges_settle_locked"(ids, most) AS done;
    EXCEPTION WHEN lock_not_available THEN
        settled := 0;  -- one of the tables is locked: nothing can be settled now
        kept := 0;
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_settle" IS 'Made by django-pg-badges; {"summary": "Settles pending checks: locks the user''s bucket, evaluates the condition in a newer snapshot, awards or revokes.", "generator": 22, "badges": [], "body": "857760e2aa96c724"}';
REVOKE ALL ON FUNCTION "public"."badges_settle" FROM PUBLIC;

-- create function badges_award: new
CREATE OR REPLACE FUNCTION "public"."badges_award"(
    awarded_user integer,
    awarded_code text,
    evidence jsonb DEFAULT NULL::jsonb,
    actor text DEFAULT ''::text,
    reason text DEFAULT ''::text,
    awarded_thing text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET IntervalStyle = 'postgres'
AS $badges$
-- Awards a badge manually and returns whether the user lacked it.
-- The actor and the reason are recorded in the history. A manual award is never revoked by the badge's condition. The
-- subject of a badge with "per" is awarded_thing.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    -- Restored at the end, as an award or revocation may be the work of a condition that fires another one.
    previous_event CONSTANT text := current_setting('badges.event', true);
    has_changed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1650549863, (awarded_user::bigint OPERATOR(pg_catalog.&) 1023)::integer);
    PERFORM "public"."badges_seal"(
        'event', jsonb_build_object('cause', 'by hand', 'actor', actor, 'reason', reason)::text);
    DELETE FROM "public"."badges_badge" AS b
    WHERE b.user_id = awarded_user AND b.code COLLATE "C" = awarded_code AND b.thing = awarded_thing
      AND b.expires_at <= statement_timestamp();
    PERFORM "public"."badges_check_keys_at_once"();
    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, by_hand, expires_at)
    VALUES (
        awarded_user, awarded_code, awarded_thing, evidence, true,
        (SELECT statement_timestamp() + nullif(d.expires_after, '')::interval
         FROM "public"."badges_badgedefinition" AS d WHERE d.code = awarded_code))
    ON CONFLICT DO NOTHING;
    has_changed := FOUND;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
    RETURN has_changed;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_award" IS 'Made by django-pg-badges; {"summary": "Awards a badge manually and returns whether the user lacked it.", "generator": 22, "badges": [], "body": "c926edd42a516849"}';
REVOKE ALL ON FUNCTION "public"."badges_award" FROM PUBLIC;

-- create function badges_revoke: new
CREATE OR REPLACE FUNCTION "public"."badges_revoke"(
    revoked_user integer,
    revoked_code text,
    actor text DEFAULT ''::text,
    reason text DEFAULT ''::text,
    revoked_thing text DEFAULT ''::text)
RETURNS boolean
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Revokes a badge manually and returns whether the user held it.
-- The actor and the reason are recorded in the history. The next write that meets the condition awards it again.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    -- Restored at the end, as an award or revocation may be the work of a condition that fires another one.
    previous_event CONSTANT text := current_setting('badges.event', true);
    has_changed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(1650549863, (revoked_user::bigint OPERATOR(pg_catalog.&) 1023)::integer);
    PERFORM "public"."badges_seal"(
        'event', jsonb_build_object('cause', 'by hand', 'actor', actor, 'reason', reason)::text);
    -- Settling the pending checks of earlier writes would award the badge again. They are found by user and code, as
    -- their bucket may date from another BADGES_BUCKETS.
    -- Checks that an open transaction shares are left: what it has written is not seen here either.
    DELETE FROM "public"."badges_pendingcheck" AS p
    WHERE p.id IN (
        SELECT p.id FROM "public"."badges_pendingcheck" AS p
        WHERE p.user_id IN (
                SELECT revoked_user
                UNION ALL
                SELECT f.former_key::integer FROM "public"."badges_formerkey" AS f
                WHERE f.user_key = revoked_user::text)
          AND p.code = revoked_code AND p.thing = revoked_thing
        FOR UPDATE SKIP LOCKED);
    DELETE FROM "public"."badges_badge" AS b
    WHERE b.user_id = revoked_user AND b.code = revoked_code AND b.thing = revoked_thing;
    has_changed := FOUND;
    PERFORM set_config('badges.event', coalesce(previous_event, ''), true);
    RETURN has_changed;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_revoke" IS 'Made by django-pg-badges; {"summary": "Revokes a badge manually and returns whether the user held it.", "generator": 22, "badges": [], "body": "9a5249b0f8b87143"}';
REVOKE ALL ON FUNCTION "public"."badges_revoke" FROM PUBLIC;

-- create function badges_erase: new
CREATE OR REPLACE FUNCTION "public"."badges_erase"(
    erased_user integer,
    keeps_facts boolean DEFAULT true)
RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Erases what the badges of a user and their history say about that user; returns the number of badges and events.
-- Evidence, actors, reasons and subjects are blanked, and the evidence says when. The facts remain: which badge was
-- awarded or revoked at what time. Without keeps_facts, badges and events are deleted as well.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    erased CONSTANT jsonb := jsonb_build_object('erased', statement_timestamp());
    changed integer;
BEGIN
    PERFORM pg_advisory_xact_lock(1650549863, (erased_user::bigint OPERATOR(pg_catalog.&) 1023)::integer);
    -- They hold values of changed rows. award_badges finds the badges that they would have found.
    DELETE FROM "public"."badges_pendingcheck" AS p
    WHERE p.user_id IN (
        SELECT erased_user
        UNION ALL
        SELECT f.former_key::integer FROM "public"."badges_formerkey" AS f WHERE f.user_key = erased_user::text);
    IF NOT keeps_facts THEN
        -- Before the first deletion, which writes events of its own.
        changed := (SELECT count(*) FROM "public"."badges_badgeevent" AS e WHERE e.user_id = erased_user)
                   + (SELECT count(*) FROM "public"."badges_badge" AS b WHERE b.user_id = erased_user);
        DELETE FROM "public"."badges_badge" AS b WHERE b.user_id = erased_user;
        DELETE FROM "public"."badges_delivery" AS d WHERE d.user_id = erased_user;
        DELETE FROM "public"."badges_badgeevent" AS e WHERE e.user_id = erased_user;
        RETURN changed;
    END IF;
    -- The triggers on badges and events let these changes pass, and write no event of a move to another subject.
    PERFORM "public"."badges_seal"('rewriting', '');
    WITH subject AS MATERIALIZED (
        -- As many as there were, and the same for a badge and its events.
        SELECT s.code, s.thing, 'erased ' || gen_random_uuid() AS blank
        FROM (
            SELECT b.code COLLATE "C" AS code, b.thing FROM "public"."badges_badge" AS b WHERE b.user_id = erased_user
            UNION
            SELECT e.code COLLATE "C", e.thing FROM "public"."badges_badgeevent" AS e WHERE e.user_id = erased_user
        ) AS s
        WHERE s.thing <> ''
    ), history AS (
        UPDATE "public"."badges_badgeevent" AS e
        SET evidence = erased, actor = '', reason = '',
            thing = coalesce(
                (SELECT s.blank FROM subject AS s WHERE s.code = e.code COLLATE "C" AND s.thing = e.thing), '')
        WHERE e.user_id = erased_user
        RETURNING true
    ), held AS (
        UPDATE "public"."badges_badge" AS b
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
$badges$;
COMMENT ON FUNCTION "public"."badges_erase" IS 'Made by django-pg-badges; {"summary": "Erases what the badges of a user and their history say about that user; returns the number of badges and events.", "generator": 22, "badges": [], "body": "1556af20d2d832d6"}';
REVOKE ALL ON FUNCTION "public"."badges_erase" FROM PUBLIC;

-- create function badges_merge: new
CREATE OR REPLACE FUNCTION "public"."badges_merge"(
    from_user integer,
    to_user integer,
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
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    place integer;
    number integer;
    about_codes text[];
    about_things text[];
BEGIN
    IF from_user = to_user THEN
        RAISE invalid_parameter_value USING MESSAGE = format('user %s cannot be merged with itself', from_user);
    END IF;
    IF NOT EXISTS (SELECT FROM "public"."auth_user" AS u WHERE u."id" = to_user) THEN
        RAISE foreign_key_violation USING
            MESSAGE = format('there is no user %s', to_user), CONSTRAINT = 'badges_badge_user_id_fk';
    END IF;
    -- Waits for the transactions that award a badge to either of them; in one order, as another merge may as well.
    FOR place IN
        SELECT DISTINCT (found.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer
        FROM unnest(ARRAY[from_user, to_user]) AS found (user_id)
        ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(1650549863, place);
    END LOOP;
    PERFORM FROM "public"."auth_user" AS u WHERE u."id" = from_user FOR UPDATE;
    IF current_setting('transaction_isolation') = 'read committed' THEN
        -- Checks of other transactions are about the rows of that user, so they are settled before.
        PERFORM "public"."badges_settle_locked"(
            ARRAY(
                SELECT p.id FROM "public"."badges_pendingcheck" AS p
                WHERE p.user_id = from_user AND p.noted_by < pg_current_xact_id()::text::bigint
                FOR UPDATE SKIP LOCKED),
            2147483647);
    END IF;
    DELETE FROM "public"."badges_badge" AS b
    WHERE b.user_id IN (from_user, to_user) AND b.expires_at <= statement_timestamp();
    number := (SELECT count(*) FROM "public"."badges_badge" AS b WHERE b.user_id = from_user);
    SELECT array_agg(about.code), array_agg(about.thing) INTO about_codes, about_things
    FROM (
        SELECT b.code COLLATE "C" AS code, b.thing FROM "public"."badges_badge" AS b WHERE b.user_id = from_user
        UNION
        SELECT e.code COLLATE "C", e.thing FROM "public"."badges_badgeevent" AS e WHERE e.user_id = from_user
    ) AS about;
    -- The triggers on badges and events let these changes pass, and write no events of their own for them.
    PERFORM "public"."badges_seal"('rewriting', from_user::text);
    -- One statement, as badges may be awarded for badges: triggers on them see what both hold in the end.
    WITH double AS (
        SELECT own.id AS own_id, other.id AS kept_id, own.awarded_at, own.evidence, own.by_hand, own.expires_at,
               own.awarded_at IS NULL OR own.awarded_at < other.awarded_at AS is_earlier
        FROM "public"."badges_badge" AS own
        JOIN "public"."badges_badge" AS other
            ON other.user_id = to_user AND other.code COLLATE "C" = own.code AND other.thing = own.thing
        WHERE own.user_id = from_user
    ), folded AS (
        UPDATE "public"."badges_badge" AS kept
        SET awarded_at = CASE WHEN d.is_earlier THEN d.awarded_at ELSE kept.awarded_at END,
            evidence = CASE WHEN d.is_earlier THEN d.evidence ELSE kept.evidence END,
            by_hand = d.by_hand OR kept.by_hand,
            expires_at = CASE WHEN d.expires_at > kept.expires_at OR d.expires_at IS NULL
                              THEN d.expires_at ELSE kept.expires_at END
        FROM double AS d
        WHERE kept.id = d.kept_id
    ), dropped AS (
        DELETE FROM "public"."badges_badge" AS b USING double AS d WHERE b.id = d.own_id
    )
    UPDATE "public"."badges_badge" AS b
    SET user_id = to_user
    WHERE b.user_id = from_user AND NOT EXISTS (SELECT FROM double AS d WHERE d.own_id = b.id);
    UPDATE "public"."badges_badgeevent" AS e SET user_id = to_user WHERE e.user_id = from_user;
    PERFORM set_config('badges.rewriting', '', true);
    UPDATE "public"."badges_delivery" AS d SET user_id = to_user WHERE d.user_id = from_user;
    -- The last event of a badge says whether it is held.
    INSERT INTO "public"."badges_badgeevent" (user_id, code, thing, kind, cause, evidence, rule, actor, reason, quiet)
    SELECT b.user_id, b.code, b.thing, 'awarded', 'merged', b.evidence,
           coalesce((SELECT d.rule FROM "public"."badges_badgedefinition" AS d WHERE d.code = b.code), ''),
           badges_merge.actor, coalesce(nullif(badges_merge.reason, ''), 'from user ' || from_user), true
    FROM unnest(about_codes, about_things) AS about (code, thing)
    JOIN "public"."badges_badge" AS b
        ON b.user_id = to_user AND b.code COLLATE "C" = about.code AND b.thing = about.thing;
    -- Checks that this transaction has left, or whose condition failed, are about rows of either by now.
    INSERT INTO "public"."badges_pendingcheck" (bucket, user_id, code, thing, evidence)
    SELECT DISTINCT (found.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer,
           found.user_id, found.code, found.thing, '{"operation": "award_badges", "asks": "state"}'::jsonb
    FROM (
        SELECT to_user AS user_id, p.code, p.thing FROM "public"."badges_pendingcheck" AS p WHERE p.user_id = from_user
    ) AS found
    ON CONFLICT DO NOTHING;
    PERFORM "public"."badges_move_checks"(from_user, to_user);
    RETURN number;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_merge" IS 'Made by django-pg-badges; {"summary": "Gives the badges of one user, their history and their pending checks to another; returns the number of badges.", "generator": 22, "badges": [], "body": "c94c5b0730f15d67"}';
REVOKE ALL ON FUNCTION "public"."badges_merge" FROM PUBLIC;

-- create function badges_rename: new
CREATE OR REPLACE FUNCTION "public"."badges_rename"(old_code text, new_code text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Gives the holders, the history, the pending checks and the failures of one badge to another, and deletes its
-- definition. Of a badge that a user holds under both codes, the one under the new code stays.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    -- No award under the old code can follow: transactions that have made one are waited for, and others wait for this
    -- one, which brings the functions that know the new code.
    LOCK TABLE "public"."badges_badge", "public"."badges_pendingcheck" IN SHARE ROW EXCLUSIVE MODE;
    -- The triggers on badges and events let these changes pass, and write no events of their own for them.
    PERFORM "public"."badges_seal"('rewriting', '');
    DELETE FROM "public"."badges_badge" AS b
    USING "public"."badges_badge" AS kept
    WHERE b.code = old_code
      AND kept.user_id = b.user_id AND kept.code = new_code AND kept.thing = b.thing;
    UPDATE "public"."badges_badge" AS b SET code = new_code WHERE b.code = old_code;
    UPDATE "public"."badges_badgeevent" AS e SET code = new_code WHERE e.code = old_code;
    PERFORM set_config('badges.rewriting', '', true);
    DELETE FROM "public"."badges_pendingcheck" AS p
    USING "public"."badges_pendingcheck" AS kept
    WHERE p.code = old_code
      AND kept.user_id = p.user_id AND kept.code = new_code AND kept.thing = p.thing
      AND kept.what = p.what AND kept.noted_by = p.noted_by;
    UPDATE "public"."badges_pendingcheck" AS p SET code = new_code WHERE p.code = old_code;
    UPDATE "public"."badges_failure" AS f SET code = new_code WHERE f.code = old_code;
    DELETE FROM "public"."badges_badgedefinition" AS d WHERE d.code = old_code;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_rename" IS 'Made by django-pg-badges; {"summary": "Gives the holders, the history, the pending checks and the failures of one badge to another, and deletes its definition.", "generator": 22, "badges": [], "body": "b948a6d52b67ce15"}';
REVOKE ALL ON FUNCTION "public"."badges_rename" FROM PUBLIC;

-- create function badges_keep_events: new
CREATE OR REPLACE FUNCTION "public"."badges_keep_events"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: rejects changes of recorded events, as the history is append-only.
-- An update that changes nothing passes: loading the same dump twice is allowed. So does the foreign key that follows a
-- user to another key; deliveries, which have none, are then moved as well. And so do the erasure of what events say
-- about a user, and the merge of two users.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    kept "public"."badges_badgeevent";
BEGIN
    IF (coalesce(pg_catalog.current_setting('badges.rewriting', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('rewriting') IS NOT NULL) THEN
        RETURN NULL;  -- badges_erase blanks them, badges_merge gives them to another user
    END IF;
    kept := NEW;
    kept.user_id := OLD.user_id;
    IF kept IS NOT DISTINCT FROM OLD
       AND (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = OLD.user_id) IS NULL
    THEN
        BEGIN
            UPDATE "public"."badges_delivery" AS d SET user_id = NEW.user_id WHERE d.event_id = NEW.id;
        EXCEPTION WHEN OTHERS THEN
            -- The change of the key succeeds in any case.
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            END IF;
            RAISE WARNING 'deliveries did not follow user % to key %: %', OLD.user_id, NEW.user_id, SQLERRM;
        END;
        RETURN NULL;
    END IF;
    IF OLD IS DISTINCT FROM NEW THEN
        RAISE restrict_violation USING
            MESSAGE = 'events of badges are only added, never changed',
            HINT = 'Award or revoke the badge: that writes another event.';
    END IF;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_keep_events" IS 'Made by django-pg-badges; {"summary": "Trigger function: rejects changes of recorded events, as the history is append-only.", "generator": 22, "badges": [], "body": "d37f2fd786360eaa"}';
REVOKE ALL ON FUNCTION "public"."badges_keep_events" FROM PUBLIC;

-- create function badges_add_awarded: new
CREATE OR REPLACE FUNCTION "public"."badges_add_awarded"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Trigger function: records each new row, an awarded badge, in the history.
-- Only what still holds is recorded: another trigger of the same statement may have undone the change that fired this
-- one. Then queues the events for delivery and wakes the listeners; quiet events are not delivered.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    -- What the functions that award and revoke say of their own work: cause, actor and reason.
    given CONSTANT jsonb := CASE WHEN coalesce(current_setting('badges.event', true), '') <> ''
                                 THEN "public"."badges_sealed"('event')::jsonb END;
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
    IF (coalesce(pg_catalog.current_setting('badges.rewriting', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('rewriting') IS NOT NULL) THEN
        IF TG_OP = 'UPDATE' THEN
            RETURN NULL;  -- badges_erase and badges_merge change badges and their events alike
        END IF;
        merged_user := "public"."badges_sealed"('rewriting');
    END IF;
    WITH event AS (
        INSERT INTO "public"."badges_badgeevent" (
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
               coalesce((SELECT d.rule FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code), ''),
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
                SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'awarded' AS kind, NULL AS cause
                FROM badges_new AS b
            ) AS happened
        ) AS found
        WHERE found.user_id::text IS DISTINCT FROM merged_user AND (found.kind = 'awarded') = (
                  (SELECT true FROM "public"."badges_badge" AS b
                   WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  ) IS NOT NULL)
          -- The history of a user who is being deleted is deleted as well. An award may precede its user, where that
          -- foreign key is deferred.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = found.user_id FOR KEY SHARE) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    )
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND (current_setting('max_prepared_transactions') = '0'
                    AND pg_catalog.pg_notification_queue_usage() < 0.5) THEN
        PERFORM pg_notify('badges', '');
    END IF;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_add_awarded" IS 'Made by django-pg-badges; {"summary": "Trigger function: records each new row, an awarded badge, in the history.", "generator": 22, "badges": [], "body": "8541f46c3372bbc9"}';
REVOKE ALL ON FUNCTION "public"."badges_add_awarded" FROM PUBLIC;

-- create function badges_add_revoked: new
CREATE OR REPLACE FUNCTION "public"."badges_add_revoked"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Trigger function: records each deleted row, a revoked or expired badge, in the history.
-- Only what still holds is recorded: another trigger of the same statement may have undone the change that fired this
-- one. Then queues the events for delivery and wakes the listeners; quiet events are not delivered.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    is_patient CONSTANT boolean :=
        current_setting('lock_timeout') = '0' AND EXISTS (
            SELECT FROM badges_old AS b WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp());
    -- What the functions that award and revoke say of their own work: cause, actor and reason.
    given CONSTANT jsonb := CASE WHEN coalesce(current_setting('badges.event', true), '') <> ''
                                 THEN "public"."badges_sealed"('event')::jsonb END;
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
    IF (coalesce(pg_catalog.current_setting('badges.rewriting', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('rewriting') IS NOT NULL) THEN
        IF TG_OP = 'UPDATE' THEN
            RETURN NULL;  -- badges_erase and badges_merge change badges and their events alike
        END IF;
        merged_user := "public"."badges_sealed"('rewriting');
    END IF;
    -- Where there is nothing to record, as the user is deleted or has another key, no further table is needed: it
    -- may be locked, and the change of the user must succeed.
    IF NOT EXISTS (
        SELECT FROM (
            SELECT b.user_id, b.code::text AS code, b.thing, b.evidence,
                   CASE WHEN b.expires_at <= statement_timestamp() THEN 'expired' ELSE 'revoked' END AS kind,
                   'sql' AS cause
            FROM badges_old AS b
        ) AS change
        WHERE change.kind = 'awarded'
           OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = change.user_id) IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    IF is_patient THEN
        -- A transaction that deletes the user has locked that row and waits for the badge, while this one has the badge
        -- and needs the user's row: a deadlock, whose victim might be the deletion. So this one gives up before
        -- deadlock_timeout.
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    WITH event AS (
        INSERT INTO "public"."badges_badgeevent" (
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
               coalesce((SELECT d.rule FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code), ''),
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
                SELECT b.user_id, b.code::text AS code, b.thing, b.evidence,
                       CASE WHEN b.expires_at <= statement_timestamp() THEN 'expired' ELSE 'revoked' END AS kind,
                       'sql' AS cause
                FROM badges_old AS b
            ) AS happened
        ) AS found
        WHERE found.user_id::text IS DISTINCT FROM merged_user AND (found.kind = 'awarded') = (
                  (SELECT true FROM "public"."badges_badge" AS b
                   WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  ) IS NOT NULL)
          -- The history of a user who is being deleted is deleted as well. An award may precede its user, where that
          -- foreign key is deferred.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = found.user_id FOR KEY SHARE) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    )
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND (current_setting('max_prepared_transactions') = '0'
                    AND pg_catalog.pg_notification_queue_usage() < 0.5) THEN
        PERFORM pg_notify('badges', '');
    END IF;
    IF is_patient THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_add_revoked" IS 'Made by django-pg-badges; {"summary": "Trigger function: records each deleted row, a revoked or expired badge, in the history.", "generator": 22, "badges": [], "body": "6dc503327c41c3ce"}';
REVOKE ALL ON FUNCTION "public"."badges_add_revoked" FROM PUBLIC;

-- create function badges_add_moved: new
CREATE OR REPLACE FUNCTION "public"."badges_add_moved"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Trigger function: records each badge whose user, code or thing was updated in the history.
-- Only what still holds is recorded: another trigger of the same statement may have undone the change that fired this
-- one. Then queues the events for delivery and wakes the listeners; quiet events are not delivered.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    is_patient CONSTANT boolean :=
        current_setting('lock_timeout') = '0';
    -- What the functions that award and revoke say of their own work: cause, actor and reason.
    given CONSTANT jsonb := CASE WHEN coalesce(current_setting('badges.event', true), '') <> ''
                                 THEN "public"."badges_sealed"('event')::jsonb END;
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
    IF (coalesce(pg_catalog.current_setting('badges.rewriting', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('rewriting') IS NOT NULL) THEN
        IF TG_OP = 'UPDATE' THEN
            RETURN NULL;  -- badges_erase and badges_merge change badges and their events alike
        END IF;
        merged_user := "public"."badges_sealed"('rewriting');
    END IF;
    -- Where there is nothing to record, as the user is deleted or has another key, no further table is needed: it
    -- may be locked, and the change of the user must succeed.
    IF NOT EXISTS (
        SELECT FROM (
            -- A badge is held at most once, so a user, code and thing among both the old and the new rows is
            -- unchanged. The other badges have moved: each was revoked there and awarded here.
            SELECT side.user_id, side.code, side.thing, (array_agg(side.evidence))[1] AS evidence,
                   min(side.kind) AS kind, 'moved' AS cause
            FROM (
                SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'revoked' AS kind
                FROM badges_old AS b
                UNION ALL
                SELECT b.user_id, b.code::text, b.thing, b.evidence, 'awarded'
                FROM badges_new AS b
            ) AS side
            -- A user whose key has changed is the same user: the foreign key moves badges and events alike.
            WHERE NOT EXISTS (
                SELECT FROM badges_old AS o JOIN badges_new AS n USING (id)
                WHERE side.user_id IN (o.user_id, n.user_id) AND o.user_id IS DISTINCT FROM n.user_id
                  AND (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = o.user_id) IS NULL)
            GROUP BY side.user_id, side.code, side.thing
            HAVING count(*) = 1
            ORDER BY kind DESC
        ) AS change
        WHERE change.kind = 'awarded'
           OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = change.user_id) IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    IF is_patient THEN
        -- A transaction that deletes the user has locked that row and waits for the badge, while this one has the badge
        -- and needs the user's row: a deadlock, whose victim might be the deletion. So this one gives up before
        -- deadlock_timeout.
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    WITH event AS (
        INSERT INTO "public"."badges_badgeevent" (
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
               coalesce((SELECT d.rule FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code), ''),
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
                -- A badge is held at most once, so a user, code and thing among both the old and the new rows is
                -- unchanged. The other badges have moved: each was revoked there and awarded here.
                SELECT side.user_id, side.code, side.thing, (array_agg(side.evidence))[1] AS evidence,
                       min(side.kind) AS kind, 'moved' AS cause
                FROM (
                    SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'revoked' AS kind
                    FROM badges_old AS b
                    UNION ALL
                    SELECT b.user_id, b.code::text, b.thing, b.evidence, 'awarded'
                    FROM badges_new AS b
                ) AS side
                -- A user whose key has changed is the same user: the foreign key moves badges and events alike.
                WHERE NOT EXISTS (
                    SELECT FROM badges_old AS o JOIN badges_new AS n USING (id)
                    WHERE side.user_id IN (o.user_id, n.user_id) AND o.user_id IS DISTINCT FROM n.user_id
                      AND (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = o.user_id) IS NULL)
                GROUP BY side.user_id, side.code, side.thing
                HAVING count(*) = 1
                ORDER BY kind DESC
            ) AS happened
        ) AS found
        WHERE found.user_id::text IS DISTINCT FROM merged_user AND (found.kind = 'awarded') = (
                  (SELECT true FROM "public"."badges_badge" AS b
                   WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  ) IS NOT NULL)
          -- The history of a user who is being deleted is deleted as well. An award may precede its user, where that
          -- foreign key is deferred.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = found.user_id FOR KEY SHARE) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    )
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND (current_setting('max_prepared_transactions') = '0'
                    AND pg_catalog.pg_notification_queue_usage() < 0.5) THEN
        PERFORM pg_notify('badges', '');
    END IF;
    IF is_patient THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_add_moved" IS 'Made by django-pg-badges; {"summary": "Trigger function: records each badge whose user, code or thing was updated in the history.", "generator": 22, "badges": [], "body": "b1d90e79ba03321c"}';
REVOKE ALL ON FUNCTION "public"."badges_add_moved" FROM PUBLIC;

-- create function badges_add_truncated: new
CREATE OR REPLACE FUNCTION "public"."badges_add_truncated"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Trigger function: records each badge revoked by TRUNCATE in the history.
-- Only what still holds is recorded: another trigger of the same statement may have undone the change that fired this
-- one. Then queues the events for delivery and wakes the listeners; quiet events are not delivered.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
DECLARE
    is_patient CONSTANT boolean :=
        current_setting('lock_timeout') = '0';
    -- What the functions that award and revoke say of their own work: cause, actor and reason.
    given CONSTANT jsonb := CASE WHEN coalesce(current_setting('badges.event', true), '') <> ''
                                 THEN "public"."badges_sealed"('event')::jsonb END;
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
    IF (coalesce(pg_catalog.current_setting('badges.rewriting', true), '') OPERATOR(pg_catalog.<>) ''
        AND "public"."badges_sealed"('rewriting') IS NOT NULL) THEN
        IF TG_OP = 'UPDATE' THEN
            RETURN NULL;  -- badges_erase and badges_merge change badges and their events alike
        END IF;
        merged_user := "public"."badges_sealed"('rewriting');
    END IF;
    -- Where there is nothing to record, as the user is deleted or has another key, no further table is needed: it
    -- may be locked, and the change of the user must succeed.
    IF NOT EXISTS (
        SELECT FROM (
            -- All badges that are held according to the history: none, if it has been truncated as well.
            SELECT last.user_id, last.code::text AS code, last.thing, NULL::jsonb AS evidence,
                   'revoked' AS kind, 'truncate' AS cause
            FROM (
                SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
                FROM "public"."badges_badgeevent" AS e
                ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
            ) AS last
            WHERE last.kind = 'awarded'
        ) AS change
        WHERE change.kind = 'awarded'
           OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = change.user_id) IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    IF is_patient THEN
        -- A transaction that deletes the user has locked that row and waits for the badge, while this one has the badge
        -- and needs the user's row: a deadlock, whose victim might be the deletion. So this one gives up before
        -- deadlock_timeout.
        PERFORM set_config('lock_timeout', '500ms', true);
    END IF;
    WITH event AS (
        INSERT INTO "public"."badges_badgeevent" (
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
               coalesce((SELECT d.rule FROM "public"."badges_badgedefinition" AS d WHERE d.code = found.code), ''),
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
                -- All badges that are held according to the history: none, if it has been truncated as well.
                SELECT last.user_id, last.code::text AS code, last.thing, NULL::jsonb AS evidence,
                       'revoked' AS kind, 'truncate' AS cause
                FROM (
                    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
                    FROM "public"."badges_badgeevent" AS e
                    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
                ) AS last
                WHERE last.kind = 'awarded'
            ) AS happened
        ) AS found
        WHERE found.user_id::text IS DISTINCT FROM merged_user AND (found.kind = 'awarded') = (
                  (SELECT true FROM "public"."badges_badge" AS b
                   WHERE b.user_id = found.user_id AND b.code COLLATE "C" = found.code AND b.thing = found.thing
                  ) IS NOT NULL)
          -- The history of a user who is being deleted is deleted as well. An award may precede its user, where that
          -- foreign key is deferred.
          AND (found.kind = 'awarded'
               OR (SELECT true FROM "public"."auth_user" AS u WHERE u."id" = found.user_id FOR KEY SHARE) IS NOT NULL)
        RETURNING id, user_id, at, quiet
    )
    SELECT true INTO is_news FROM event WHERE NOT event.quiet LIMIT 1;
    IF is_news AND (current_setting('max_prepared_transactions') = '0'
                    AND pg_catalog.pg_notification_queue_usage() < 0.5) THEN
        PERFORM pg_notify('badges', '');
    END IF;
    IF is_patient THEN
        PERFORM set_config('lock_timeout', '0', true);
    END IF;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_add_truncated" IS 'Made by django-pg-badges; {"summary": "Trigger function: records each badge revoked by TRUNCATE in the history.", "generator": 22, "badges": [], "body": "55484b7b16ea5064"}';
REVOKE ALL ON FUNCTION "public"."badges_add_truncated" FROM PUBLIC;

-- create function badges_follow_user: new
CREATE OR REPLACE FUNCTION "public"."badges_follow_user"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
AS $badges$
-- Trigger function: has pending checks follow a user whose key changes.
-- Each update of a user calls it, as a trigger for the key alone (UPDATE OF) would keep the site from altering the type
-- of that column. So it has no settings, which cost more than the comparison: all that it calls is named with its
-- schema.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
BEGIN
    IF OLD."id" OPERATOR(pg_catalog.=) NEW."id" THEN
        RETURN NULL;
    END IF;
    PERFORM "public"."badges_note_key"(OLD."id"::pg_catalog.text, NEW."id"::pg_catalog.text);
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_follow_user" IS 'Made by django-pg-badges; {"summary": "Trigger function: has pending checks follow a user whose key changes.", "generator": 22, "badges": [], "body": "4bdbf19ec544f1b0"}';
REVOKE ALL ON FUNCTION "public"."badges_follow_user" FROM PUBLIC;

-- create function badges_check: new
CREATE OR REPLACE FUNCTION "public"."badges_check"(
    badge_code text,
    asks text,
    checked_user integer,
    checked_thing text,
    new_row jsonb,
    old_row jsonb,
    among_others boolean,
    OUT earned boolean,
    OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET TimeZone = 'UTC'
AS $badges$
-- Evaluates the condition of one badge for one user.
-- If "asks" is an event (insert, update, delete): for a changed row whose values were stored, and, if among_others is
-- true, for the user's other rows, as one of them may meet the condition by now. If it is "state", or an event that no
-- longer causes a check of the badge: for the user as a whole, by the rows that exist. Returns NULL for a badge that is
-- no longer installed. Raises the errors of the condition.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
BEGIN
    -- Beloved, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'beloved'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{artist_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_like', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT (SELECT pg_catalog.count(*)
                                            FROM (
                                                SELECT
                                                from dummy_like where artist_id = NEW.artist_id
                                                LIMIT 10
                                            ) AS bounded) OPERATOR(pg_catalog.>=) 10), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_like', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('artist_id', badges_check.checked_user))
                 AS "new" ("artist_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_like"', '{artist_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Beloved, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'beloved'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_like where artist_id = NEW.artist_id
                                                       LIMIT 10
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 10)
                            FROM (SELECT badges_check.checked_user::integer AS "artist_id") AS "new"), false);
        RETURN;
    END IF;
    -- Clean-up, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'clean-up'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'delete'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.old_row OPERATOR(pg_catalog.?&) '{hit_views}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((OLD.hit_views < 10), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'delete',
                       'old', pg_catalog.jsonb_build_object('hit_views', "old"."hit_views"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.old_row)
                 AS "old" ("hit_views" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{hit_views}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Collector, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'collector'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{user_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 5
                                    FROM (
                                        SELECT FROM (
                                            SELECT id AS counted
                                            from dummy_sketch where user_id = NEW.user_id
                                        ) AS each_row
                                        WHERE each_row.counted IS DISTINCT FROM NULL
                                        LIMIT 5
                                    ) AS bounded), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('user_id', badges_check.checked_user))
                 AS "new" ("user_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{user_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Collector, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'collector'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 5
                                           FROM (
                                               SELECT FROM (
                                                   SELECT id AS counted
                                                   from dummy_sketch where user_id = NEW.user_id
                                               ) AS each_row
                                               WHERE each_row.counted IS DISTINCT FROM NULL
                                               LIMIT 5
                                           ) AS bounded)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- First sketch, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'first-sketch'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        SELECT coalesce((true), false),
               pg_catalog.jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert')
        INTO earned, evidence
        FROM (SELECT) AS nothing;
        RETURN;
    END IF;
    -- First sketch, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'first-sketch'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT true
                            FROM (SELECT
                                  FROM "public"."dummy_sketch" AS badges_row
                                  WHERE badges_row."user_id" OPERATOR(pg_catalog.=) badges_check.checked_user
                                 ) AS "new"
                            WHERE (SELECT true)
                            LIMIT 1), false);
        RETURN;
    END IF;
    -- Generous, bronze, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'generous-bronze'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_like where user_id = NEW.user_id
                                                       LIMIT 3
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 3)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- Generous, gold, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'generous-gold'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_like where user_id = NEW.user_id
                                                       LIMIT 25
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 25)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- Generous, silver, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'generous-silver'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_like where user_id = NEW.user_id
                                                       LIMIT 10
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 10)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- In a good mood, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'good-mood'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        SELECT coalesce((true), false),
               pg_catalog.jsonb_build_object('table', 'public.dummy_like', 'operation', 'insert')
        INTO earned, evidence
        FROM (SELECT) AS nothing;
        RETURN;
    END IF;
    -- In a good mood, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'good-mood'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT true
                            FROM (SELECT
                                  FROM "public"."dummy_like" AS badges_row
                                  WHERE badges_row."user_id" OPERATOR(pg_catalog.=) badges_check.checked_user
                                 ) AS "new"
                            WHERE (SELECT true)
                            LIMIT 1), false);
        RETURN;
    END IF;
    -- Hit, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'hit'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'update' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{hit_views}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((hit_views >= 250), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'update',
                       'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row)
                 AS "new" ("hit_views" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{hit_views}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Hit, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'hit' THEN
        earned := coalesce((SELECT true
                            FROM (SELECT "badges_row"."hit_views"
                                  FROM "public"."dummy_sketch" AS badges_row
                                  WHERE badges_row."user_id" OPERATOR(pg_catalog.=) badges_check.checked_user
                                        AND badges_row."id"::text OPERATOR(pg_catalog.=) badges_check.checked_thing
                                        AND badges_row."id" OPERATOR(pg_catalog.=)
                                            CASE WHEN badges_check.checked_thing
                                                      OPERATOR(pg_catalog.~) '^-?[0-9]{1,19}$'
                                                 THEN badges_check.checked_thing::bigint END
                                 ) AS "new"
                            WHERE (SELECT hit_views >= 250)
                            LIMIT 1), false);
        RETURN;
    END IF;
    -- Pionner, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'pionner'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'update'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{date_joined}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.auth_user', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((age(NEW.date_joined) > interval '1 year'), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.auth_user', 'operation', 'update',
                       'new', pg_catalog.jsonb_build_object('date_joined', "new"."date_joined"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row)
                 AS "new" ("date_joined" timestamp with time zone);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."auth_user"', '{date_joined}'::text[],
                '{"timestamp with time zone"}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Pionner, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'pionner'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT true
                            FROM (SELECT "badges_row"."date_joined"
                                  FROM "public"."auth_user" AS badges_row
                                  WHERE badges_row."id" OPERATOR(pg_catalog.=) badges_check.checked_user
                                 ) AS "new"
                            WHERE (SELECT age(NEW.date_joined) > interval '1 year')
                            LIMIT 1), false);
        RETURN;
    END IF;
    -- Prolific, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'prolific'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{user_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT (SELECT pg_catalog.count(*)
                                            FROM (
                                                SELECT
                                                from dummy_sketch where user_id = NEW.user_id
                                                LIMIT 25
                                            ) AS bounded) OPERATOR(pg_catalog.>=) 25), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('user_id', badges_check.checked_user))
                 AS "new" ("user_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{user_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Prolific, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'prolific'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_sketch where user_id = NEW.user_id
                                                       LIMIT 25
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 25)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- Star, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'star'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'update'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{hit_views}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((hit_views > 1000 ), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'update',
                       'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row)
                 AS "new" ("hit_views" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{hit_views}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Star, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'star'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT true
                            FROM (SELECT "badges_row"."hit_views"
                                  FROM "public"."dummy_sketch" AS badges_row
                                  WHERE badges_row."user_id" OPERATOR(pg_catalog.=) badges_check.checked_user
                                 ) AS "new"
                            WHERE (SELECT hit_views > 1000 )
                            LIMIT 1), false);
        RETURN;
    END IF;
    -- Three badges, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'three-badges'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{user_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.badges_badge', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 3
                                    FROM (
                                        SELECT
                                        from badges_badge where user_id = NEW.user_id
                                        LIMIT 3
                                    ) AS bounded), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.badges_badge', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('user_id', badges_check.checked_user))
                 AS "new" ("user_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."badges_badge"', '{user_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Three badges, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'three-badges'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 3
                                           FROM (
                                               SELECT
                                               from badges_badge where user_id = NEW.user_id
                                               LIMIT 3
                                           ) AS bounded)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- Viral, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'viral'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'update'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{hit_views}'::text[]
                AND badges_check.old_row OPERATOR(pg_catalog.?&) '{hit_views}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT (NEW.hit_views - OLD.hit_views >= 500)
                             FROM (SELECT "new"."hit_views") AS "new"), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'update',
                       'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"),
                       'old', pg_catalog.jsonb_build_object('hit_views', "old"."hit_views"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row)
                 AS "new" ("hit_views" integer)
                 CROSS JOIN pg_catalog.jsonb_to_record(
                     badges_check.old_row)
                 AS "old" ("hit_views" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{hit_views}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Virtuoso, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'virtuoso'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{user_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_sketch', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT (SELECT pg_catalog.count(*)
                                            FROM (
                                                SELECT
                                                from dummy_sketch where user_id = NEW.user_id
                                                LIMIT 100
                                            ) AS bounded) OPERATOR(pg_catalog.>=) 100), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_sketch', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('user_id', badges_check.checked_user))
                 AS "new" ("user_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_sketch"', '{user_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Virtuoso, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'virtuoso'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_sketch where user_id = NEW.user_id
                                                       LIMIT 100
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 100)
                            FROM (SELECT badges_check.checked_user::integer AS "user_id") AS "new"), false);
        RETURN;
    END IF;
    -- Well liked, for a changed row
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'well-liked'
       AND badges_check.asks OPERATOR(pg_catalog.=) 'insert'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        IF NOT (badges_check.new_row OPERATOR(pg_catalog.?&) '{artist_id}'::text[]) THEN
            RAISE undefined_column USING
                MESSAGE = 'a column that the condition reads is gone from public.dummy_like', COLUMN = 'evidence';
        END IF;
        BEGIN
            SELECT coalesce((SELECT (SELECT pg_catalog.count(*)
                                            FROM (
                                                SELECT
                                                from dummy_like where artist_id = NEW.artist_id
                                                LIMIT 3
                                            ) AS bounded) OPERATOR(pg_catalog.>=) 3), false),
                   pg_catalog.jsonb_build_object(
                       'table', 'public.dummy_like', 'operation', 'insert',
                       'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))
            INTO earned, evidence
            FROM pg_catalog.jsonb_to_record(
                     badges_check.new_row
                     OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('artist_id', badges_check.checked_user))
                 AS "new" ("artist_id" integer);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            PERFORM "public"."badges_same_types"(
                '"public"."dummy_like"', '{artist_id}'::text[],
                '{integer}'::regtype[]);
            RAISE;
        END;
        RETURN;
    END IF;
    -- Well liked, for the user as a whole
    IF badges_check.badge_code OPERATOR(pg_catalog.=) 'well-liked'
       AND badges_check.checked_thing OPERATOR(pg_catalog.=) '' THEN
        earned := coalesce((SELECT (SELECT (SELECT pg_catalog.count(*)
                                                   FROM (
                                                       SELECT
                                                       from dummy_like where artist_id = NEW.artist_id
                                                       LIMIT 3
                                                   ) AS bounded) OPERATOR(pg_catalog.>=) 3)
                            FROM (SELECT badges_check.checked_user::integer AS "artist_id") AS "new"), false);
        RETURN;
    END IF;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_check" IS 'Made by django-pg-badges; {"summary": "Evaluates the condition of one badge for one user.", "generator": 22, "badges": [], "body": "9fd5aa60d2f8a627"}';
REVOKE ALL ON FUNCTION "public"."badges_check" FROM PUBLIC;

-- create function badges_user_of: new
CREATE OR REPLACE FUNCTION "public"."badges_user_of"(starting_table text, path text, start text)
RETURNS integer
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Returns the user to whom a path leads from a value of its first column; NULL if there is none, or no such path.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
BEGIN
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_user_of" IS 'Made by django-pg-badges; {"summary": "Returns the user to whom a path leads from a value of its first column; NULL if there is none, or no such path.", "generator": 22, "badges": [], "body": "325b450312a359a5"}';
REVOKE ALL ON FUNCTION "public"."badges_user_of" FROM PUBLIC;

-- create function badges_progress: new
CREATE OR REPLACE FUNCTION "public"."badges_progress"(
    users integer[],
    OUT user_id integer,
    OUT code text,
    OUT value numeric)
RETURNS SETOF record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Returns the current progress of these users towards each badge that has a goal.
-- NULL where the progress has no value or fails.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
BEGIN
    -- Beloved; Well liked
    BEGIN
        RETURN QUERY
        SELECT reached.user_id, badge.code, reached.value
        FROM (
            SELECT asked.user_id,
                   (SELECT (SELECT count(*) from dummy_like where artist_id = NEW.artist_id)
                    FROM (SELECT "asked"."user_id"::integer AS "artist_id") AS "new")::numeric AS value
            FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        ) AS reached
        CROSS JOIN pg_catalog.unnest('{beloved,well-liked}'::text[]) AS badge (code);
    EXCEPTION WHEN OTHERS THEN
        RETURN QUERY
        SELECT asked.user_id, badge.code, NULL::numeric
        FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        CROSS JOIN pg_catalog.unnest('{beloved,well-liked}'::text[]) AS badge (code);
    END;
    -- Generous, bronze; Generous, gold; Generous, silver
    BEGIN
        RETURN QUERY
        SELECT reached.user_id, badge.code, reached.value
        FROM (
            SELECT asked.user_id,
                   (SELECT (SELECT count(*) from dummy_like where user_id = NEW.user_id)
                    FROM (SELECT "asked"."user_id"::integer AS "user_id") AS "new")::numeric AS value
            FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        ) AS reached
        CROSS JOIN pg_catalog.unnest('{generous-bronze,generous-gold,generous-silver}'::text[]) AS badge (code);
    EXCEPTION WHEN OTHERS THEN
        RETURN QUERY
        SELECT asked.user_id, badge.code, NULL::numeric
        FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        CROSS JOIN pg_catalog.unnest('{generous-bronze,generous-gold,generous-silver}'::text[]) AS badge (code);
    END;
    -- Prolific; Virtuoso
    BEGIN
        RETURN QUERY
        SELECT reached.user_id, badge.code, reached.value
        FROM (
            SELECT asked.user_id,
                   (SELECT (SELECT count(*) from dummy_sketch where user_id = NEW.user_id)
                    FROM (SELECT "asked"."user_id"::integer AS "user_id") AS "new")::numeric AS value
            FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        ) AS reached
        CROSS JOIN pg_catalog.unnest('{prolific,virtuoso}'::text[]) AS badge (code);
    EXCEPTION WHEN OTHERS THEN
        RETURN QUERY
        SELECT asked.user_id, badge.code, NULL::numeric
        FROM pg_catalog.unnest(badges_progress.users) AS asked (user_id)
        CROSS JOIN pg_catalog.unnest('{prolific,virtuoso}'::text[]) AS badge (code);
    END;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_progress" IS 'Made by django-pg-badges; {"summary": "Returns the current progress of these users towards each badge that has a goal.", "generator": 22, "badges": [], "body": "0a3b2a038b8d42ef"}';
REVOKE ALL ON FUNCTION "public"."badges_progress" FROM PUBLIC;

-- create function badges_catch_up: new
CREATE OR REPLACE FUNCTION "public"."badges_catch_up"(OUT awarded integer, OUT taken_back integer, OUT failed integer)
RETURNS record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET lock_timeout = '500ms'
SET TimeZone = 'UTC'
AS $badges$
-- Awards and revokes the badges that need catch-up: those that triggers alone do not maintain.
-- Does the work of "award_badges --late" in one call. Concurrent writes wait for it no longer than for other badge
-- work. An award that another transaction blocks is left to a pending check.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
DECLARE
    added integer;
    part record;
    losing_users integer[] := '{}';
    losing_codes text[] := '{}';
    losing_things text[] := '{}';
BEGIN
    awarded := 0;
    taken_back := 0;
    failed := 0;
    -- In a good mood
    BEGIN
        BEGIN
            DELETE FROM "public"."badges_badge" AS b
            WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) 'good-mood'
              AND b.expires_at OPERATOR(pg_catalog.<=) pg_catalog.statement_timestamp();
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;  -- another transaction deletes one of the users; the next call deletes what has expired
        END;
        FOR part IN
            WITH found AS (
                -- The users for whom one of their rows meets the badge's condition now, once each (once per subject),
                -- with such a row as evidence.
                SELECT DISTINCT ON ("new"."user_id")
                       "new"."user_id" AS user_id,
                       'good-mood' AS code,
                       ''::text AS thing,
                       pg_catalog.jsonb_build_object('table', 'public.dummy_like', 'operation', 'award_badges')
                           AS evidence,
                       pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+) '7 days'::interval AS expires_at
                FROM (
                    -- OFFSET 0: the condition is evaluated only for rows that pass these filters.
                    SELECT new.*
                    FROM (SELECT DISTINCT "new"."user_id"
                          FROM "public"."dummy_like" AS "new"
                          WHERE "new"."user_id" IS NOT NULL) AS "new"
                    WHERE NOT EXISTS (SELECT FROM "public"."badges_badge" AS b
                                      WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                                        AND b.code COLLATE "C" OPERATOR(pg_catalog.=) 'good-mood'
                                        AND b.thing OPERATOR(pg_catalog.=) ''::text
                                        AND (b.expires_at IS NULL
                                             OR b.expires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())
                                      OFFSET 0)
                          AND EXISTS (SELECT FROM "public"."auth_user" AS u
                                  WHERE u."id" OPERATOR(pg_catalog.=) "new"."user_id")
                    OFFSET 0
                ) AS new
                WHERE (SELECT true)
                ORDER BY "new"."user_id"
            ),
            numbered AS (
                SELECT found.*,
                       (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) 1000 AS number
                FROM found
            )
            SELECT pg_catalog.array_agg(n.user_id) AS users, pg_catalog.array_agg(n.thing) AS things,
                   pg_catalog.array_agg(n.code) AS codes,
                   pg_catalog.array_agg(n.evidence) AS evidences, pg_catalog.array_agg('award'::text) AS verdicts
            FROM numbered AS n
            GROUP BY n.number
        LOOP
            -- Skips users who have been deleted since; leaves a pending check where another transaction holds a lock.
            PERFORM "public"."badges_record"(part.users, part.things, part.codes, part.evidences, part.verdicts);
        END LOOP;
        SELECT pg_catalog.count(*) INTO added
        FROM "public"."badges_badge" AS b
        WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) 'good-mood'
          AND b.awarded_at OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp();
        awarded := awarded OPERATOR(pg_catalog.+) added;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            failed := failed OPERATOR(pg_catalog.+) 1;
        WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
               AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
            THEN
                RAISE;
            END IF;
            PERFORM "public"."badges_note_failure"('good-mood', SQLSTATE, SQLERRM);
            failed := failed OPERATOR(pg_catalog.+) 1;
    END;
    -- Pionner
    BEGIN
        FOR part IN
            WITH found AS (
                -- The users for whom one of their rows meets the badge's condition now, once each (once per subject),
                -- with such a row as evidence.
                SELECT DISTINCT ON ("new"."id")
                       "new"."id" AS user_id,
                       'pionner' AS code,
                       ''::text AS thing,
                       pg_catalog.jsonb_build_object(
                           'table', 'public.auth_user', 'operation', 'award_badges',
                           'new', pg_catalog.jsonb_build_object('date_joined', "new"."date_joined"))
                           AS evidence,
                       NULL::timestamptz AS expires_at
                FROM (
                    -- OFFSET 0: the condition is evaluated only for rows that pass these filters.
                    SELECT new.*
                    FROM (SELECT DISTINCT "new"."id", "new"."date_joined"
                          FROM "public"."auth_user" AS "new"
                          WHERE "new"."id" IS NOT NULL) AS "new"
                    WHERE NOT EXISTS (SELECT FROM "public"."badges_badge" AS b
                                      WHERE b.user_id OPERATOR(pg_catalog.=) "new"."id"
                                        AND b.code COLLATE "C" OPERATOR(pg_catalog.=) 'pionner'
                                        AND b.thing OPERATOR(pg_catalog.=) ''::text
                                        AND (b.expires_at IS NULL
                                             OR b.expires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())
                                      OFFSET 0)
                          AND EXISTS (SELECT FROM "public"."auth_user" AS u
                                  WHERE u."id" OPERATOR(pg_catalog.=) "new"."id")
                    OFFSET 0
                ) AS new
                WHERE (SELECT age(NEW.date_joined) > interval '1 year')
                ORDER BY "new"."id"
            ),
            numbered AS (
                SELECT found.*,
                       (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) 1000 AS number
                FROM found
            )
            SELECT pg_catalog.array_agg(n.user_id) AS users, pg_catalog.array_agg(n.thing) AS things,
                   pg_catalog.array_agg(n.code) AS codes,
                   pg_catalog.array_agg(n.evidence) AS evidences, pg_catalog.array_agg('award'::text) AS verdicts
            FROM numbered AS n
            GROUP BY n.number
        LOOP
            -- Skips users who have been deleted since; leaves a pending check where another transaction holds a lock.
            PERFORM "public"."badges_record"(part.users, part.things, part.codes, part.evidences, part.verdicts);
        END LOOP;
        SELECT pg_catalog.count(*) INTO added
        FROM "public"."badges_badge" AS b
        WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) 'pionner'
          AND b.awarded_at OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp();
        awarded := awarded OPERATOR(pg_catalog.+) added;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            failed := failed OPERATOR(pg_catalog.+) 1;
        WHEN OTHERS OR assert_failure THEN
            IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
               AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
            THEN
                RAISE;
            END IF;
            PERFORM "public"."badges_note_failure"('pionner', SQLSTATE, SQLERRM);
            failed := failed OPERATOR(pg_catalog.+) 1;
    END;
    -- Last, as it locks the buckets of users (it never waits for them).
    PERFORM "public"."badges_settle"(NULL, 1000 OPERATOR(pg_catalog.+) pg_catalog.cardinality(losing_users));
    SELECT pg_catalog.count(*) INTO taken_back
    FROM unnest(losing_users, losing_codes, losing_things) AS lost (user_id, code, thing)
    WHERE NOT EXISTS (
        SELECT FROM "public"."badges_badge" AS b
        WHERE b.user_id OPERATOR(pg_catalog.=) lost.user_id AND b.code COLLATE "C" OPERATOR(pg_catalog.=) lost.code
          AND b.thing OPERATOR(pg_catalog.=) lost.thing);
END
$badges$;
COMMENT ON FUNCTION "public"."badges_catch_up" IS 'Made by django-pg-badges; {"summary": "Awards and revokes the badges that need catch-up: those that triggers alone do not maintain.", "generator": 22, "badges": ["good-mood", "pionner"], "body": "8bdb51fae0459503"}';
REVOKE ALL ON FUNCTION "public"."badges_catch_up" FROM PUBLIC;

-- create function badges_update_auth_user_3116e76a: new
CREATE OR REPLACE FUNCTION "public"."badges_update_auth_user_3116e76a"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
SET TimeZone = 'UTC'
AS $badges$
-- Trigger function: checks badges after update on public.auth_user, statement-level. Badges: pionner.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_new" AS "new"
            WHERE (age(NEW.date_joined) > interval '1 year')
            LIMIT 1
        ) THEN
            IF ("badges_update_auth_user_3116e76a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_update_auth_user_3116e76a"."tg_table_name" OPERATOR(pg_catalog.=) 'auth_user')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."id", badge.code)
                           "new"."id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.auth_user', 'operation', 'update',
                               'new', pg_catalog.jsonb_build_object('date_joined', "new"."date_joined"))
                               AS evidence
                    FROM "badges_new" AS "new"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- Pionner
                        ('pionner', (age(NEW.date_joined) > interval '1 year'))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{pionner}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'pionner'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{pionner}'::text[],
                    'public.auth_user', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'auth_user')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'update',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{pionner}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": ["date_joined"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'update',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{pionner}'::text[],
                            ARRAY['{"new": ["date_joined"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{pionner}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{pionner}'::text[],
                    'public.auth_user', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_auth_user_3116e76a" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after update on public.auth_user, statement-level.", "generator": 22, "badges": ["pionner"], "body": "b6ba22d3c1616cd2"}';
REVOKE ALL ON FUNCTION "public"."badges_update_auth_user_3116e76a" FROM PUBLIC;

-- create function badges_insert_badges_badge_d2690b9b: new
CREATE OR REPLACE FUNCTION "public"."badges_insert_badges_badge_d2690b9b"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after insert on public.badges_badge, statement-level. Badges: three-badges.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "new"."user_id",
               ''::text,
               ("new"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               coalesce((SELECT '{three-badges}'::text[] FROM "public"."badges_badge" AS b
                         WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                           AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                               'three-badges'
                           AND b.thing OPERATOR(pg_catalog.=) ''::text), '{}'),
               (SELECT true
                FROM "badges_new" AS "new"
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM "badges_new" AS "new"
        WHERE ("badges_insert_badges_badge_d2690b9b"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_insert_badges_badge_d2690b9b"."tg_table_name" OPERATOR(pg_catalog.=) 'badges_badge')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_insert_badges_badge_d2690b9b"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_badges_badge_d2690b9b"."tg_table_name" OPERATOR(pg_catalog.=) 'badges_badge')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{three-badges}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("new"."user_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        pg_catalog.jsonb_build_object(
                            'table', 'public.badges_badge', 'operation', 'insert',
                            'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "new"."user_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."user_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT coalesce((SELECT '{three-badges}'::text[] FROM "public"."badges_badge" AS b
                                     WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                           'three-badges'
                                       AND b.thing OPERATOR(pg_catalog.=) ''::text), '{}') AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{three-badges}'::text[],
                    '{f}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "new"."user_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "new"."user_id" AS user_id, ''::text AS thing
                    FROM "badges_new" AS "new"
                    WHERE "new"."user_id" IS NOT NULL
                ) AS each
                WHERE pg_catalog.cardinality(coalesce((SELECT '{three-badges}'::text[] FROM "public"."badges_badge" AS b
                                                       WHERE b.user_id OPERATOR(pg_catalog.=) each.user_id
                                                         AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                                             'three-badges'
                                                         AND b.thing OPERATOR(pg_catalog.=) each.thing), '{}'))
                          OPERATOR(pg_catalog.<) 1
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("new"."user_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           pg_catalog.jsonb_build_object(
                               'table', 'public.badges_badge', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "new"."user_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."user_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT coalesce((SELECT '{three-badges}'::text[] FROM "public"."badges_badge" AS b
                                     WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                           'three-badges'
                                       AND b.thing OPERATOR(pg_catalog.=) ''::text), '{}')
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    VALUES
                    -- Three badges
                    ('three-badges',
                     CASE WHEN 'three-badges' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce((SELECT (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 3
                                                  FROM (
                                                      SELECT
                                                      from badges_badge where user_id = NEW.user_id
                                                      LIMIT 3
                                                  ) AS bounded)
                                   FROM (SELECT "new"."user_id") AS "new"), false)
                     END,
                     false, false)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("new"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{three-badges}'::text[],
                                '{f}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "new"."user_id"
                               FROM "badges_new" AS "new"
                               WHERE "new"."user_id" IS NOT NULL) AS "new"));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL
              AND pg_catalog.cardinality(own.held)
                  OPERATOR(pg_catalog.<) 1 THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := coalesce((SELECT '{three-badges}'::text[] FROM "public"."badges_badge" AS b
                                      WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                        AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                            'three-badges'
                                        AND b.thing OPERATOR(pg_catalog.=) own.the_thing), '{}')
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy AND false OPERATOR(pg_catalog.=) ANY (found.earned)
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Three badges
                           CASE WHEN 'three-badges' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce((SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 3
                                                FROM (
                                                    SELECT
                                                    from badges_badge where user_id = NEW.user_id
                                                    LIMIT 3
                                                ) AS bounded), false)
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{three-badges}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM "badges_new" AS "new"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{three-badges}'::text[],
                            '{f}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.badges_badge', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id")),
                           NULL::timestamptz
                    FROM "badges_new" AS "new"
                    CROSS JOIN (
                        VALUES ('three-badges', own.earned[1])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                pg_catalog.jsonb_build_object(
                                    'table', 'public.badges_badge', 'operation', 'insert',
                                    'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                            pg_catalog.array_agg('check'::text))
                        FROM "badges_new" AS "new"
                        CROSS JOIN (
                            VALUES ('three-badges', own.earned[1])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy AND false OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            pg_catalog.jsonb_build_object(
                                'table', 'public.badges_badge', 'operation', 'insert',
                                'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM "badges_new" AS "new"
                    CROSS JOIN unnest(
                        '{three-badges}'::text[],
                        own.earned,
                        '{f}'::bool[],
                        '{f}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{three-badges}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_insert_badges_badge_d2690b9b"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_insert_badges_badge_d2690b9b"."tg_table_name" OPERATOR(pg_catalog.=) 'badges_badge')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{three-badges}'::text[],
                'public.badges_badge', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'badges_badge')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'insert',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{three-badges}'::text[],
                    '{t}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": ["user_id"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'insert',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{three-badges}'::text[],
                            ARRAY['{"new": ["user_id"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{three-badges}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{three-badges}'::text[],
                    'public.badges_badge', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_insert_badges_badge_d2690b9b" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after insert on public.badges_badge, statement-level.", "generator": 22, "badges": ["three-badges"], "body": "4fcb786ee1a0993a"}';
REVOKE ALL ON FUNCTION "public"."badges_insert_badges_badge_d2690b9b" FROM PUBLIC;

-- create function badges_delete_dummy_like_082699e7: new
CREATE OR REPLACE FUNCTION "public"."badges_delete_dummy_like_082699e7"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after delete on public.dummy_like, statement-level. Badges: generous-bronze,
-- generous-gold, generous-silver.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "affected"."user_id",
               ''::text,
               ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                     WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                           ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                       AND b.thing OPERATOR(pg_catalog.=) ''::text),
               (SELECT true
                FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
        WHERE ("badges_delete_dummy_like_082699e7"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_delete_dummy_like_082699e7"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_delete_dummy_like_082699e7"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_delete_dummy_like_082699e7"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{generous-bronze,generous-gold,generous-silver}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("affected"."user_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text) AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "affected"."user_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "affected"."user_id" AS user_id, ''::text AS thing
                    FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    WHERE "affected"."user_id" IS NOT NULL
                ) AS each
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("affected"."user_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text)
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                CROSS JOIN LATERAL (
                    VALUES
                    -- Generous, bronze
                    ('generous-bronze',
                     CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                             nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, gold
                    ('generous-gold',
                     CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                             nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, silver
                    ('generous-silver',
                     CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                             nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{generous-bronze,generous-gold,generous-silver}'::text[],
                                '{t,t,t}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            ELSE
                -- Read again under the lock, as another transaction may have changed it while holding the lock.
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy
                                       OR false OPERATOR(pg_catalog.=) ANY (found.earned)
                                          AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Generous, bronze
                           CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                                   nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, gold
                           CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                                   nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, silver
                           CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                                   nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            '{t,t,t}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb,
                           NULL::timestamptz
                    FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    CROSS JOIN (
                        VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                               ('generous-silver', own.earned[3])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb),
                            pg_catalog.array_agg('check'::text))
                        FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                        CROSS JOIN (
                            VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                                   ('generous-silver', own.earned[3])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy
                   OR false OPERATOR(pg_catalog.=) ANY (own.earned)
                      AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0 THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    CROSS JOIN unnest(
                        '{generous-bronze,generous-gold,generous-silver}'::text[],
                        own.earned,
                        '{f,f,f}'::bool[],
                        '{t,t,t}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_delete_dummy_like_082699e7"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_delete_dummy_like_082699e7"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{generous-bronze,generous-gold,generous-silver}'::text[],
                'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'state',
                    '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb,
                    pg_catalog.array_agg("affected"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(NULL::jsonb),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[],
                    '{t,t,t}'::bool[],
                    ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb])
                FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                WHERE "affected"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'state',
                            '{"table": "public.dummy_like", "operation": "delete", "asks": "state"}'::jsonb,
                            pg_catalog.array_agg("affected"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg(NULL::jsonb),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb])
                        FROM (SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                        WHERE "affected"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_delete_dummy_like_082699e7" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after delete on public.dummy_like, statement-level.", "generator": 22, "badges": ["generous-bronze", "generous-gold", "generous-silver"], "body": "0f05f94fd58aeda7"}';
REVOKE ALL ON FUNCTION "public"."badges_delete_dummy_like_082699e7" FROM PUBLIC;

-- create function badges_insert_dummy_like_f1d6616a: new
CREATE OR REPLACE FUNCTION "public"."badges_insert_dummy_like_f1d6616a"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
SET TimeZone = 'UTC'
AS $badges$
-- Trigger function: checks badges after insert on public.dummy_like, statement-level. Badges: beloved,
-- generous-bronze, generous-gold, generous-silver, good-mood, well-liked.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "new"."artist_id",
               ''::text,
               ("new"."artist_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                     WHERE b.user_id OPERATOR(pg_catalog.=) "new"."artist_id"
                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                           ANY ('{beloved,well-liked}'::text[])
                       AND b.thing OPERATOR(pg_catalog.=) ''::text),
               (SELECT true
                FROM "badges_new" AS "new"
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM "badges_new" AS "new"
        WHERE ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{beloved,well-liked}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("new"."artist_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        pg_catalog.jsonb_build_object(
                            'table', 'public.dummy_like', 'operation', 'insert',
                            'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "new"."artist_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."artist_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "new"."artist_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{beloved,well-liked}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text) AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{beloved,well-liked}'::text[],
                    '{f,f}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "new"."artist_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "new"."artist_id" AS user_id, ''::text AS thing
                    FROM "badges_new" AS "new"
                    WHERE "new"."artist_id" IS NOT NULL
                ) AS each
                WHERE pg_catalog.cardinality(ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                                   WHERE b.user_id OPERATOR(pg_catalog.=) each.user_id
                                                     AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                                         ANY ('{beloved,well-liked}'::text[])
                                                     AND b.thing OPERATOR(pg_catalog.=) each.thing))
                          OPERATOR(pg_catalog.<) 2
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("new"."artist_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_like', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "new"."artist_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."artist_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "new"."artist_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{beloved,well-liked}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text)
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN NOT '{beloved,well-liked}'::text[] OPERATOR(pg_catalog.<@) badges_held.codes THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where artist_id = NEW.artist_id
                                                   LIMIT 10
                                               ) AS bounded)
                                FROM (SELECT "new"."artist_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                CROSS JOIN LATERAL (
                    VALUES
                    -- Beloved
                    ('beloved',
                     CASE WHEN 'beloved' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce("shared_1".value OPERATOR(pg_catalog.>=) 10, false)
                     END,
                     false, false),
                    -- Well liked
                    ('well-liked',
                     CASE WHEN 'well-liked' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce("shared_1".value OPERATOR(pg_catalog.>=) 3, false)
                     END,
                     false, false)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("new"."artist_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{beloved,well-liked}'::text[],
                                '{f,f}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "new"."artist_id"
                               FROM "badges_new" AS "new"
                               WHERE "new"."artist_id" IS NOT NULL) AS "new"));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL
              AND pg_catalog.cardinality(own.held)
                  OPERATOR(pg_catalog.<) 2 THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{beloved,well-liked}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy AND false OPERATOR(pg_catalog.=) ANY (found.earned)
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Beloved
                           CASE WHEN 'beloved' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce("shared_1".value OPERATOR(pg_catalog.>=) 10, false)
                           END,
                           -- Well liked
                           CASE WHEN 'well-liked' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce("shared_1".value OPERATOR(pg_catalog.>=) 3, false)
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{beloved,well-liked}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM "badges_new" AS "new"
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN NOT '{beloved,well-liked}'::text[] OPERATOR(pg_catalog.<@) own.held THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where artist_id = NEW.artist_id
                                                   LIMIT 10
                                               ) AS bounded)
                                FROM (SELECT "new"."artist_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{beloved,well-liked}'::text[],
                            '{f,f}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_like', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id")),
                           NULL::timestamptz
                    FROM "badges_new" AS "new"
                    CROSS JOIN (
                        VALUES ('beloved', own.earned[1]), ('well-liked', own.earned[2])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                pg_catalog.jsonb_build_object(
                                    'table', 'public.dummy_like', 'operation', 'insert',
                                    'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))),
                            pg_catalog.array_agg('check'::text))
                        FROM "badges_new" AS "new"
                        CROSS JOIN (
                            VALUES ('beloved', own.earned[1]), ('well-liked', own.earned[2])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy AND false OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            pg_catalog.jsonb_build_object(
                                'table', 'public.dummy_like', 'operation', 'insert',
                                'new', pg_catalog.jsonb_build_object('artist_id', "new"."artist_id"))),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM "badges_new" AS "new"
                    CROSS JOIN unnest(
                        '{beloved,well-liked}'::text[],
                        own.earned,
                        '{f,f}'::bool[],
                        '{f,f}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{beloved,well-liked}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{beloved,well-liked}'::text[],
                'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "affected"."user_id",
               ''::text,
               ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                     WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                           ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                       AND b.thing OPERATOR(pg_catalog.=) ''::text),
               (SELECT true
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
        WHERE ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{generous-bronze,generous-gold,generous-silver}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("affected"."user_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text) AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "affected"."user_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "affected"."user_id" AS user_id, ''::text AS thing
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                    WHERE "affected"."user_id" IS NOT NULL
                ) AS each
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("affected"."user_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text)
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                CROSS JOIN LATERAL (
                    VALUES
                    -- Generous, bronze
                    ('generous-bronze',
                     CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                             nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, gold
                    ('generous-gold',
                     CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                             nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, silver
                    ('generous-silver',
                     CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                             nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{generous-bronze,generous-gold,generous-silver}'::text[],
                                '{t,t,t}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            ELSE
                -- Read again under the lock, as another transaction may have changed it while holding the lock.
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy
                                       OR false OPERATOR(pg_catalog.=) ANY (found.earned)
                                          AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Generous, bronze
                           CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                                   nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, gold
                           CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                                   nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, silver
                           CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                                   nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            '{t,t,t}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb,
                           NULL::timestamptz
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                    CROSS JOIN (
                        VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                               ('generous-silver', own.earned[3])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb),
                            pg_catalog.array_agg('check'::text))
                        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                        CROSS JOIN (
                            VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                                   ('generous-silver', own.earned[3])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy
                   OR false OPERATOR(pg_catalog.=) ANY (own.earned)
                      AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0 THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                    CROSS JOIN unnest(
                        '{generous-bronze,generous-gold,generous-silver}'::text[],
                        own.earned,
                        '{f,f,f}'::bool[],
                        '{t,t,t}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{generous-bronze,generous-gold,generous-silver}'::text[],
                'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_new" AS "new"
            WHERE (true)
            LIMIT 1
        ) THEN
            IF ("badges_insert_dummy_like_f1d6616a"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_dummy_like_f1d6616a"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."user_id", badge.code)
                           "new"."user_id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object('table', 'public.dummy_like', 'operation', 'insert')
                               AS evidence
                    FROM "badges_new" AS "new"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- In a good mood
                        ('good-mood', (true))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."user_id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{good-mood}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'good-mood'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing
                                AND (b.expires_at IS NULL
                                     OR b.expires_at
                                        OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{good-mood}'::text[],
                    'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'insert',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."artist_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{beloved,well-liked}'::text[],
                    '{t,t}'::bool[],
                    '{f,f}'::bool[],
                    ARRAY['{"new": ["artist_id"], "old": []}'::jsonb,
                          '{"new": ["artist_id"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."artist_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'insert',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."artist_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{beloved,well-liked}'::text[],
                            ARRAY['{"new": ["artist_id"], "old": []}'::jsonb,
                                  '{"new": ["artist_id"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."artist_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{beloved,well-liked}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'state',
                    '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb,
                    pg_catalog.array_agg("affected"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(NULL::jsonb),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[],
                    '{t,t,t}'::bool[],
                    ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb])
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                WHERE "affected"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'state',
                            '{"table": "public.dummy_like", "operation": "insert", "asks": "state"}'::jsonb,
                            pg_catalog.array_agg("affected"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg(NULL::jsonb),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb])
                        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new") AS affected
                        WHERE "affected"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'insert',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{good-mood}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": [], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'insert',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{good-mood}'::text[],
                            ARRAY['{"new": [], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{good-mood}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{beloved,generous-bronze,generous-gold,generous-silver,good-mood,well-liked}'::text[],
                    'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_insert_dummy_like_f1d6616a" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after insert on public.dummy_like, statement-level.", "generator": 22, "badges": ["beloved", "generous-bronze", "generous-gold", "generous-silver", "good-mood", "well-liked"], "body": "0b0a236b734406df"}';
REVOKE ALL ON FUNCTION "public"."badges_insert_dummy_like_f1d6616a" FROM PUBLIC;

-- create function badges_update_dummy_like_e0af39e4: new
CREATE OR REPLACE FUNCTION "public"."badges_update_dummy_like_e0af39e4"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after update on public.dummy_like, statement-level. Badges: generous-bronze,
-- generous-gold, generous-silver.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "affected"."user_id",
               ''::text,
               ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                     WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                           ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                       AND b.thing OPERATOR(pg_catalog.=) ''::text),
               (SELECT true
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                      UNION
                      SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
              UNION
              SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
        WHERE ("badges_update_dummy_like_e0af39e4"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_update_dummy_like_e0af39e4"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_update_dummy_like_e0af39e4"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_update_dummy_like_e0af39e4"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{generous-bronze,generous-gold,generous-silver}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("affected"."user_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                      UNION
                      SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text) AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "affected"."user_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "affected"."user_id" AS user_id, ''::text AS thing
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                          UNION
                          SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    WHERE "affected"."user_id" IS NOT NULL
                ) AS each
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("affected"."user_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                      UNION
                      SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "affected"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text)
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                CROSS JOIN LATERAL (
                    VALUES
                    -- Generous, bronze
                    ('generous-bronze',
                     CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                             nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, gold
                    ('generous-gold',
                     CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                             nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true),
                    -- Generous, silver
                    ('generous-silver',
                     CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                         CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                             nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (badges_held.codes), false)
                         ELSE false END
                     END,
                     false, true)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("affected"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{generous-bronze,generous-gold,generous-silver}'::text[],
                                '{t,t,t}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                               UNION
                               SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            ELSE
                -- Read again under the lock, as another transaction may have changed it while holding the lock.
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy
                                       OR false OPERATOR(pg_catalog.=) ANY (found.earned)
                                          AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Generous, bronze
                           CASE WHEN ('generous-bronze' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 3 THEN
                                   nullif('generous-bronze' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, gold
                           CASE WHEN ('generous-gold' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 25 THEN
                                   nullif('generous-gold' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END,
                           -- Generous, silver
                           CASE WHEN ('generous-silver' OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE THEN
                               CASE WHEN "shared_1".value OPERATOR(pg_catalog.>=) 10 THEN
                                   nullif('generous-silver' OPERATOR(pg_catalog.<>) ALL (own.held), false)
                               ELSE false END
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                      UNION
                      SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN (
                               '{generous-bronze,generous-gold,generous-silver}'::text[]
                               OPERATOR(pg_catalog.<@) own.deferred
                           ) IS NOT TRUE THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_like where user_id = NEW.user_id
                                                   LIMIT 25
                                               ) AS bounded)
                                FROM (SELECT "affected"."user_id"::integer AS "user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            '{t,t,t}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb,
                           NULL::timestamptz
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                          UNION
                          SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    CROSS JOIN (
                        VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                               ('generous-silver', own.earned[3])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb),
                            pg_catalog.array_agg('check'::text))
                        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                              UNION
                              SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                        CROSS JOIN (
                            VALUES ('generous-bronze', own.earned[1]), ('generous-gold', own.earned[2]),
                                   ('generous-silver', own.earned[3])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy
                   OR false OPERATOR(pg_catalog.=) ANY (own.earned)
                      AND pg_catalog.cardinality(own.held) OPERATOR(pg_catalog.>) 0 THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                          UNION
                          SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                    CROSS JOIN unnest(
                        '{generous-bronze,generous-gold,generous-silver}'::text[],
                        own.earned,
                        '{f,f,f}'::bool[],
                        '{t,t,t}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{generous-bronze,generous-gold,generous-silver}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_update_dummy_like_e0af39e4"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_update_dummy_like_e0af39e4"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{generous-bronze,generous-gold,generous-silver}'::text[],
                'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_like')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'state',
                    '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb,
                    pg_catalog.array_agg("affected"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(NULL::jsonb),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    '{t,t,t}'::bool[],
                    '{t,t,t}'::bool[],
                    ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb])
                FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                      UNION
                      SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                WHERE "affected"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'state',
                            '{"table": "public.dummy_like", "operation": "update", "asks": "state"}'::jsonb,
                            pg_catalog.array_agg("affected"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg(NULL::jsonb),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{generous-bronze,generous-gold,generous-silver}'::text[],
                            ARRAY['{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb])
                        FROM (SELECT DISTINCT "new"."user_id" AS user_id FROM "badges_new" AS "new"
                              UNION
                              SELECT DISTINCT "old"."user_id" AS user_id FROM "badges_old" AS "old") AS affected
                        WHERE "affected"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{generous-bronze,generous-gold,generous-silver}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{generous-bronze,generous-gold,generous-silver}'::text[],
                    'public.dummy_like', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_dummy_like_e0af39e4" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after update on public.dummy_like, statement-level.", "generator": 22, "badges": ["generous-bronze", "generous-gold", "generous-silver"], "body": "f3fcd29536a85d20"}';
REVOKE ALL ON FUNCTION "public"."badges_update_dummy_like_e0af39e4" FROM PUBLIC;

-- create function badges_delete_dummy_sketch_f1ef14d4: new
CREATE OR REPLACE FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after delete on public.dummy_sketch, statement-level. Badges: clean-up.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_old" AS "old"
            WHERE (OLD.hit_views < 10)
            LIMIT 1
        ) THEN
            IF ("badges_delete_dummy_sketch_f1ef14d4"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_delete_dummy_sketch_f1ef14d4"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("old"."user_id", badge.code)
                           "old"."user_id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'delete',
                               'old', pg_catalog.jsonb_build_object('hit_views', "old"."hit_views"))
                               AS evidence
                    FROM "badges_old" AS "old"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- Clean-up
                        ('clean-up', (OLD.hit_views < 10))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "old"."user_id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{clean-up}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'clean-up'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{clean-up}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'delete',
                    NULL::jsonb,
                    pg_catalog.array_agg("old"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(NULL::jsonb),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(old.*))),
                    '{clean-up}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": [], "old": ["hit_views"]}'::jsonb])
                FROM "badges_old" AS "old"
                WHERE "old"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'delete',
                            NULL::jsonb,
                            pg_catalog.array_agg("old"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg(NULL::jsonb),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(old.*))),
                            '{clean-up}'::text[],
                            ARRAY['{"new": [], "old": ["hit_views"]}'::jsonb])
                        FROM "badges_old" AS "old"
                        WHERE "old"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{clean-up}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{clean-up}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after delete on public.dummy_sketch, statement-level.", "generator": 22, "badges": ["clean-up"], "body": "ebfd0c853874719f"}';
REVOKE ALL ON FUNCTION "public"."badges_delete_dummy_sketch_f1ef14d4" FROM PUBLIC;

-- create function badges_insert_dummy_sketch_9c132b10: new
CREATE OR REPLACE FUNCTION "public"."badges_insert_dummy_sketch_9c132b10"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after insert on public.dummy_sketch, statement-level. Badges: collector,
-- first-sketch, prolific, virtuoso.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
        SELECT "new"."user_id",
               ''::text,
               ("new"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer,
               ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                     WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                       AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                           ANY ('{collector,prolific,virtuoso}'::text[])
                       AND b.thing OPERATOR(pg_catalog.=) ''::text),
               (SELECT true
                FROM "badges_new" AS "new"
                OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM "badges_new" AS "new"
        WHERE ("badges_insert_dummy_sketch_9c132b10"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
               AND "badges_insert_dummy_sketch_9c132b10"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        LIMIT 1;
        -- A session looks up once a second whether a badge is deferred, as long as none is.
        own.deferred := NULL;
        IF coalesce(pg_catalog.current_setting('badges.look', true), '') COLLATE "C"
           OPERATOR(pg_catalog.<) pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::bigint::text
           AND ("badges_insert_dummy_sketch_9c132b10"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_dummy_sketch_9c132b10"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            own.deferred := "public"."badges_deferred"(
                '{collector,prolific,virtuoso}'::text[]);
            IF own.deferred IS NOT NULL THEN
                -- These took too long in earlier writes. They count as held here, and pending checks are left,
                -- which are evaluated after the COMMIT.
                PERFORM "public"."badges_record"(
                    pg_catalog.array_agg("new"."user_id"),
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg(badge.code),
                    pg_catalog.array_agg(
                        pg_catalog.jsonb_build_object(
                            'table', 'public.dummy_sketch', 'operation', 'insert',
                            'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                    pg_catalog.array_agg('check'::text))
                FROM (SELECT DISTINCT "new"."user_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."user_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{collector,prolific,virtuoso}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text) AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN unnest(
                    '{collector,prolific,virtuoso}'::text[],
                    '{f,f,f}'::bool[]
                ) AS badge (code, is_revocable)
                WHERE badge.code OPERATOR(pg_catalog.=) ANY (own.deferred)
                  AND (badge.is_revocable OR badge.code OPERATOR(pg_catalog.<>) ALL (badges_held.codes))
                  AND "new"."user_id" IS NOT NULL;
                own.held := ARRAY(
                    SELECT each.code FROM pg_catalog.unnest(own.held) AS each (code)
                    UNION
                    SELECT each.code FROM pg_catalog.unnest(own.deferred) AS each (code));
            END IF;
        END IF;
        IF own.are_many THEN
            -- First, in a statement of its own, the buckets of the users who lack a badge are locked. The next
            -- statement's snapshot then shows what earlier holders of those locks have committed.
            SELECT pg_catalog.array_agg(lacking.bucket),
                   pg_catalog.array_agg(lacking.bucket)
                       FILTER (WHERE NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, lacking.bucket))
            INTO own.buckets, own.busy
            FROM (
                SELECT DISTINCT (each.user_id::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket
                FROM (
                    SELECT DISTINCT "new"."user_id" AS user_id, ''::text AS thing
                    FROM "badges_new" AS "new"
                    WHERE "new"."user_id" IS NOT NULL
                ) AS each
                WHERE pg_catalog.cardinality(ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                                   WHERE b.user_id OPERATOR(pg_catalog.=) each.user_id
                                                     AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                                         ANY ('{collector,prolific,virtuoso}'::text[])
                                                     AND b.thing OPERATOR(pg_catalog.=) each.thing))
                          OPERATOR(pg_catalog.<) 3
                OFFSET 0
            ) AS lacking;
            IF own.buckets IS NOT NULL THEN
                IF own.busy IS NOT NULL
                   OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                   OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5
                THEN
                    own.busy := "public"."badges_wait"(own.buckets, own.busy);
                END IF;
                own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
                -- A condition that is true awards, with or without the lock. One that is false leaves a pending check
                -- if another transaction has the lock, as that transaction may be about to commit the missing rows. A
                -- user whose bucket was not locked has lost a badge since that statement, and counts as not locked.
                SELECT pg_catalog.array_agg("new"."user_id"),
                       pg_catalog.array_agg(''::text),
                       pg_catalog.array_agg(badge.code),
                       pg_catalog.array_agg(
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                       pg_catalog.array_agg(verdict.verdict)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (SELECT DISTINCT "new"."user_id"
                      FROM "badges_new" AS "new"
                      WHERE "new"."user_id" IS NOT NULL) AS "new"
                CROSS JOIN LATERAL (
                    SELECT ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                 WHERE b.user_id OPERATOR(pg_catalog.=) "new"."user_id"
                                   AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                       ANY ('{collector,prolific,virtuoso}'::text[])
                                   AND b.thing OPERATOR(pg_catalog.=) ''::text)
                           OPERATOR(pg_catalog.||) own.deferred AS codes
                    OFFSET 0
                ) AS badges_held
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN NOT '{prolific,virtuoso}'::text[] OPERATOR(pg_catalog.<@) badges_held.codes THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_sketch where user_id = NEW.user_id
                                                   LIMIT 100
                                               ) AS bounded)
                                FROM (SELECT "new"."user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                CROSS JOIN LATERAL (
                    VALUES
                    -- Collector
                    ('collector',
                     CASE WHEN 'collector' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce((SELECT (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 5
                                                  FROM (
                                                      SELECT FROM (
                                                          SELECT id AS counted
                                                          from dummy_sketch where user_id = NEW.user_id
                                                      ) AS each_row
                                                      WHERE each_row.counted IS DISTINCT FROM NULL
                                                      LIMIT 5
                                                  ) AS bounded)
                                   FROM (SELECT "new"."user_id") AS "new"), false)
                     END,
                     false, false),
                    -- Prolific
                    ('prolific',
                     CASE WHEN 'prolific' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce("shared_1".value OPERATOR(pg_catalog.>=) 25, false)
                     END,
                     false, false),
                    -- Virtuoso
                    ('virtuoso',
                     CASE WHEN 'virtuoso' OPERATOR(pg_catalog.<>) ALL (badges_held.codes) THEN
                         coalesce("shared_1".value OPERATOR(pg_catalog.>=) 100, false)
                     END,
                     false, false)
                    OFFSET 0  -- otherwise a single badge's condition is evaluated once for each use of its result
                ) AS badge (code, earned, leaves_check, is_revocable)
                CROSS JOIN LATERAL (
                    SELECT each.bucket OPERATOR(pg_catalog.=) ANY (own.busy)
                           OR each.bucket OPERATOR(pg_catalog.<>) ALL (own.buckets) AS is_busy
                    FROM (SELECT ("new"."user_id"::bigint OPERATOR(pg_catalog.&) 1023)::integer AS bucket) AS each
                ) AS lock
                CROSS JOIN LATERAL (
                    SELECT 'award' WHERE badge.earned
                    UNION ALL
                    SELECT 'check'
                    WHERE (badge.is_revocable OR NOT badge.earned) AND lock.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                    UNION ALL
                    SELECT 'revoke'
                    WHERE NOT badge.earned AND badge.is_revocable
                      AND badge.code OPERATOR(pg_catalog.=) ANY (badges_held.codes)
                      AND lock.is_busy IS NOT TRUE
                ) AS verdict (verdict);
                IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                    PERFORM "public"."badges_note_overrun"(
                        ARRAY(
                            SELECT each.code
                            FROM unnest(
                                '{collector,prolific,virtuoso}'::text[],
                                '{f,f,f}'::bool[]
                            ) AS each (code, is_revocable)
                            WHERE NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                        own.due,
                        (SELECT pg_catalog.count(*)
                         FROM (SELECT DISTINCT "new"."user_id"
                               FROM "badges_new" AS "new"
                               WHERE "new"."user_id" IS NOT NULL) AS "new"));
                END IF;
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            END IF;
        ELSIF own.the_user IS NOT NULL
              AND pg_catalog.cardinality(own.held)
                  OPERATOR(pg_catalog.<) 3 THEN
            -- First, in a statement of its own, the user's bucket is locked. The next statement's snapshot then shows
            -- what earlier holders of the lock have committed.
            own.is_busy := NOT pg_catalog.pg_try_advisory_xact_lock(1650549863, own.bucket)
                OR pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
                OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 5;
            IF own.is_busy THEN
                own.is_busy := "public"."badges_wait"(ARRAY[own.bucket], ARRAY[own.bucket]) IS NOT NULL;
                own.held := ARRAY(SELECT b.code::text FROM "public"."badges_badge" AS b
                                  WHERE b.user_id OPERATOR(pg_catalog.=) own.the_user
                                    AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                        ANY ('{collector,prolific,virtuoso}'::text[])
                                    AND b.thing OPERATOR(pg_catalog.=) own.the_thing)
                            OPERATOR(pg_catalog.||) own.deferred;
            END IF;
            own.due := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) '100 ms'::interval;
            SELECT found.earned, found.has_checks,
                   found.has_checks OR true OPERATOR(pg_catalog.=) ANY (found.earned)
                                       OR own.is_busy AND false OPERATOR(pg_catalog.=) ANY (found.earned)
            INTO own.earned, own.has_checks, own.follows
            FROM (
                SELECT ARRAY[
                           -- Collector
                           CASE WHEN 'collector' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce((SELECT (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>=) 5
                                                        FROM (
                                                            SELECT FROM (
                                                                SELECT id AS counted
                                                                from dummy_sketch where user_id = NEW.user_id
                                                            ) AS each_row
                                                            WHERE each_row.counted IS DISTINCT FROM NULL
                                                            LIMIT 5
                                                        ) AS bounded)
                                         FROM (SELECT "new"."user_id") AS "new"), false)
                           END,
                           -- Prolific
                           CASE WHEN 'prolific' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce("shared_1".value OPERATOR(pg_catalog.>=) 25, false)
                           END,
                           -- Virtuoso
                           CASE WHEN 'virtuoso' OPERATOR(pg_catalog.<>) ALL (own.held) THEN
                               coalesce("shared_1".value OPERATOR(pg_catalog.>=) 100, false)
                           END
                       ] AS earned,
                       -- Not its own: those are for concurrent transactions, after its end.
                       (SELECT true FROM "public"."badges_pendingcheck" AS p
                        WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user AND NOT own.is_busy
                          AND p.code OPERATOR(pg_catalog.=)
                              ANY ('{collector,prolific,virtuoso}'::text[])
                          AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                          AND p.failed_at IS NULL
                          AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                        LIMIT 1) AS has_checks
                FROM "badges_new" AS "new"
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN NOT '{prolific,virtuoso}'::text[] OPERATOR(pg_catalog.<@) own.held THEN
                               (SELECT (SELECT pg_catalog.count(*)
                                               FROM (
                                                   SELECT
                                                   from dummy_sketch where user_id = NEW.user_id
                                                   LIMIT 100
                                               ) AS bounded)
                                FROM (SELECT "new"."user_id") AS "new")
                           END AS value
                    OFFSET 0
                ) AS "shared_1"
                OFFSET 0
            ) AS found;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) own.due THEN
                PERFORM "public"."badges_note_overrun"(
                    ARRAY(
                        SELECT each.code
                        FROM unnest(
                            '{collector,prolific,virtuoso}'::text[],
                            '{f,f,f}'::bool[]
                        ) AS each (code, is_revocable)
                        WHERE (each.code OPERATOR(pg_catalog.<>) ALL (own.held) OR each.is_revocable)
                              AND NOT (each.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS TRUE),
                    own.due,
                    1);
            END IF;
            -- A condition that is true awards, with or without the lock. One that is false leaves a pending check if
            -- another transaction has the lock, as that transaction may be about to commit the missing rows.
            IF own.follows THEN
                IF true OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    IF (coalesce(pg_catalog.current_setting('badges.patience', true), '') OPERATOR(pg_catalog.<>) ''
                        AND "public"."badges_sealed"('patience') IS NOT NULL) THEN
                        PERFORM pg_catalog.set_config('lock_timeout', '1ms', true);
                    END IF;
                    INSERT INTO "public"."badges_badge" (user_id, code, thing, evidence, expires_at)
                    SELECT own.the_user, badge.code, own.the_thing,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'insert',
                               'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id")),
                           NULL::timestamptz
                    FROM "badges_new" AS "new"
                    CROSS JOIN (
                        VALUES ('collector', own.earned[1]), ('prolific', own.earned[2]),
                               ('virtuoso', own.earned[3])
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND (SELECT true FROM "public"."auth_user" AS u
                           WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL
                    ON CONFLICT DO NOTHING;
                    IF NOT FOUND
                       AND NOT ((SELECT true FROM "public"."auth_user" AS u
                                 WHERE u."id" OPERATOR(pg_catalog.=) own.the_user FOR KEY SHARE) IS NOT NULL)
                    THEN
                        -- The user is not there yet (a deferred foreign key), or the snapshot does not show the user.
                        PERFORM "public"."badges_record"(
                            pg_catalog.array_agg(own.the_user),
                            pg_catalog.array_agg(own.the_thing),
                            pg_catalog.array_agg(badge.code),
                            pg_catalog.array_agg(
                                pg_catalog.jsonb_build_object(
                                    'table', 'public.dummy_sketch', 'operation', 'insert',
                                    'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                            pg_catalog.array_agg('check'::text))
                        FROM "badges_new" AS "new"
                        CROSS JOIN (
                            VALUES ('collector', own.earned[1]), ('prolific', own.earned[2]),
                                   ('virtuoso', own.earned[3])
                        ) AS badge (code, earned)
                        WHERE badge.earned;
                    END IF;
                END IF;
                IF own.is_busy AND false OPERATOR(pg_catalog.=) ANY (own.earned) THEN
                    PERFORM "public"."badges_record"(
                        pg_catalog.array_agg(own.the_user),
                        pg_catalog.array_agg(own.the_thing),
                        pg_catalog.array_agg(badge.code),
                        pg_catalog.array_agg(
                            pg_catalog.jsonb_build_object(
                                'table', 'public.dummy_sketch', 'operation', 'insert',
                                'new', pg_catalog.jsonb_build_object('user_id', "new"."user_id"))),
                        pg_catalog.array_agg(
                            CASE WHEN NOT own.is_busy AND badge.is_revocable THEN 'revoke' ELSE 'check' END))
                    FROM "badges_new" AS "new"
                    CROSS JOIN unnest(
                        '{collector,prolific,virtuoso}'::text[],
                        own.earned,
                        '{f,f,f}'::bool[],
                        '{f,f,f}'::bool[]
                    ) AS badge (code, earned, leaves_check, is_revocable)
                    WHERE (badge.is_revocable OR NOT badge.earned) AND own.is_busy
                       OR NOT badge.earned AND badge.leaves_check
                       OR NOT badge.earned AND badge.is_revocable AND badge.code OPERATOR(pg_catalog.=) ANY (own.held);
                END IF;
                -- The holder of a lock settles a few checks that others left, of this user and these badges.
                IF own.has_checks THEN
                    PERFORM "public"."badges_settle_locked"(
                        ARRAY(
                            SELECT p.id FROM "public"."badges_pendingcheck" AS p
                            WHERE p.user_id OPERATOR(pg_catalog.=) own.the_user
                              AND p.code OPERATOR(pg_catalog.=)
                                  ANY ('{collector,prolific,virtuoso}'::text[])
                              AND (p.code OPERATOR(pg_catalog.=) ANY (own.deferred)) IS NOT TRUE
                              AND p.failed_at IS NULL
                              AND p.noted_by OPERATOR(pg_catalog.<) pg_catalog.pg_current_xact_id()::text::bigint
                            LIMIT 1000
                            FOR UPDATE SKIP LOCKED),
                        10);
                END IF;
            END IF;
        ELSIF own.bucket IS NULL
              AND NOT ("badges_insert_dummy_sketch_9c132b10"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                       AND "badges_insert_dummy_sketch_9c132b10"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            PERFORM "public"."badges_note_misplaced"(
                '{collector,prolific,virtuoso}'::text[],
                'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
        END IF;
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_new" AS "new"
            WHERE (true)
            LIMIT 1
        ) THEN
            IF ("badges_insert_dummy_sketch_9c132b10"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_insert_dummy_sketch_9c132b10"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."user_id", badge.code)
                           "new"."user_id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object('table', 'public.dummy_sketch', 'operation', 'insert')
                               AS evidence
                    FROM "badges_new" AS "new"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- First sketch
                        ('first-sketch', (true))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."user_id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{first-sketch}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'first-sketch'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{first-sketch}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'insert',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{collector,first-sketch,prolific,virtuoso}'::text[],
                    '{t,f,t,t}'::bool[],
                    '{f,f,f,f}'::bool[],
                    ARRAY['{"new": ["user_id"], "old": []}'::jsonb, '{"new": [], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb,
                          '{"new": ["user_id"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'insert',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{collector,first-sketch,prolific,virtuoso}'::text[],
                            ARRAY['{"new": ["user_id"], "old": []}'::jsonb, '{"new": [], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb,
                                  '{"new": ["user_id"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{collector,first-sketch,prolific,virtuoso}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{collector,first-sketch,prolific,virtuoso}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_insert_dummy_sketch_9c132b10" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after insert on public.dummy_sketch, statement-level.", "generator": 22, "badges": ["collector", "first-sketch", "prolific", "virtuoso"], "body": "191fa1ce8ba2ce1f"}';
REVOKE ALL ON FUNCTION "public"."badges_insert_dummy_sketch_9c132b10" FROM PUBLIC;

-- create function badges_update_dummy_sketch_f5317487: new
CREATE OR REPLACE FUNCTION "public"."badges_update_dummy_sketch_f5317487"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after update on public.dummy_sketch, statement-level. Badges: hit, star.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_new" AS "new"
            WHERE (hit_views >= 250)
            LIMIT 1
        ) THEN
            IF ("badges_update_dummy_sketch_f5317487"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_update_dummy_sketch_f5317487"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."user_id", "new"."id"::text, badge.code)
                           "new"."user_id" AS known_user,
                           "new"."id"::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'update',
                               'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"))
                               AS evidence
                    FROM "badges_new" AS "new"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- Hit
                        ('hit', (hit_views >= 250))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."user_id" IS NOT NULL AND "new"."id"::text IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{hit}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'hit'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{hit}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM "badges_new" AS "new"
            WHERE (hit_views > 1000 )
            LIMIT 1
        ) THEN
            IF ("badges_update_dummy_sketch_f5317487"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_update_dummy_sketch_f5317487"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."user_id", badge.code)
                           "new"."user_id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'update',
                               'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"))
                               AS evidence
                    FROM "badges_new" AS "new"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- Star
                        ('star', (hit_views > 1000 ))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."user_id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{star}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'star'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{star}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'update',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."user_id")::integer[],
                    pg_catalog.array_agg("new"."id"::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{hit}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": ["hit_views"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'update',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."user_id")::integer[],
                            pg_catalog.array_agg("new"."id"::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{hit}'::text[],
                            ARRAY['{"new": ["hit_views"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{hit}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'update',
                    NULL::jsonb,
                    pg_catalog.array_agg("new"."user_id")::integer[],
                    pg_catalog.array_agg(''::text),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                    pg_catalog.array_agg(NULL::jsonb),
                    '{star}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": ["hit_views"], "old": []}'::jsonb])
                FROM "badges_new" AS "new"
                WHERE "new"."user_id" IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'update',
                            NULL::jsonb,
                            pg_catalog.array_agg("new"."user_id")::integer[],
                            pg_catalog.array_agg(''::text),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(new.*))),
                            pg_catalog.array_agg(NULL::jsonb),
                            '{star}'::text[],
                            ARRAY['{"new": ["hit_views"], "old": []}'::jsonb])
                        FROM "badges_new" AS "new"
                        WHERE "new"."user_id" IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{star}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{hit,star}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_dummy_sketch_f5317487" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after update on public.dummy_sketch, statement-level.", "generator": 22, "badges": ["hit", "star"], "body": "5019ed58621a4855"}';
REVOKE ALL ON FUNCTION "public"."badges_update_dummy_sketch_f5317487" FROM PUBLIC;

-- create function badges_update_row_dummy_sketch_9e149d12: new
CREATE OR REPLACE FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12"()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET lock_timeout = '10ms'
AS $badges$
-- Trigger function: checks badges after update on public.dummy_sketch, row-level. Badges: viral. It reads hit_views
-- integer, user_id integer.
-- Installed by create_badge_triggers (django-pg-badges), whose next run overwrites edits. See docs/how-it-works.md.
#variable_conflict use_column
<<own>>
DECLARE
    the_user integer;
    the_thing text;
    bucket integer;
    held text[];
    deferred text[];
    due timestamptz;
    are_many boolean;
    is_busy boolean;
    earned boolean[];
    has_checks boolean;
    follows boolean;
    buckets integer[];
    busy integer[];
    users integer[];
    things text[];
    codes text[];
    evidences jsonb[];
    verdicts text[];
BEGIN
    -- Guard: attached to another table, this SECURITY DEFINER function could award for forged rows, so every statement
    -- first checks which table fired it.
    BEGIN
        -- The changed row alone decides these badges. The conditions are evaluated first, as most rows earn nothing.
        IF (
            SELECT true
            FROM (SELECT NEW."hit_views", NEW."user_id") AS "new"
                 CROSS JOIN (SELECT OLD."hit_views") AS "old"
            WHERE (SELECT (NEW.hit_views - OLD.hit_views >= 500)
                   FROM (SELECT "new"."hit_views") AS "new")
            LIMIT 1
        ) THEN
            IF ("badges_update_row_dummy_sketch_9e149d12"."tg_table_schema" OPERATOR(pg_catalog.=) 'public'
                AND "badges_update_row_dummy_sketch_9e149d12"."tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
            THEN
                SELECT pg_catalog.array_agg(found.known_user), pg_catalog.array_agg(found.thing),
                       pg_catalog.array_agg(found.code),
                       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('award'::text)
                INTO own.users, own.things, own.codes, own.evidences, own.verdicts
                FROM (
                    SELECT DISTINCT ON ("new"."user_id", badge.code)
                           "new"."user_id" AS known_user,
                           ''::text AS thing,
                           badge.code,
                           pg_catalog.jsonb_build_object(
                               'table', 'public.dummy_sketch', 'operation', 'update',
                               'new', pg_catalog.jsonb_build_object('hit_views', "new"."hit_views"),
                               'old', pg_catalog.jsonb_build_object('hit_views', "old"."hit_views"))
                               AS evidence
                    FROM (SELECT NEW."hit_views", NEW."user_id") AS "new"
                         CROSS JOIN (SELECT OLD."hit_views") AS "old"
                    CROSS JOIN LATERAL (
                        VALUES
                        -- Viral
                        ('viral', (SELECT (NEW.hit_views - OLD.hit_views >= 500)
                         FROM (SELECT "new"."hit_views") AS "new"))
                    ) AS badge (code, earned)
                    WHERE badge.earned
                      AND "new"."user_id" IS NOT NULL
                ) AS found
                WHERE found.code OPERATOR(pg_catalog.<>) ALL (
                    coalesce((SELECT '{viral}'::text[] FROM "public"."badges_badge" AS b
                              WHERE b.user_id OPERATOR(pg_catalog.=) found.known_user
                                AND b.code COLLATE "C" OPERATOR(pg_catalog.=)
                                    'viral'
                                AND b.thing OPERATOR(pg_catalog.=) found.thing), '{}'));
                IF own.users IS NOT NULL THEN
                    PERFORM "public"."badges_record"(own.users, own.things, own.codes, own.evidences, own.verdicts);
                END IF;
            ELSE
                PERFORM "public"."badges_note_misplaced"(
                    '{viral}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- The write that fired this trigger must succeed, whatever has failed here. Only a serialization failure must
        -- end it: under SERIALIZABLE PostgreSQL relies on that.
        IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
           AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
        THEN
            RAISE;
        ELSIF SQLSTATE OPERATOR(pg_catalog.=) '55P03' THEN
            PERFORM "public"."badges_seal"('patience', '');
        END IF;
        IF ("tg_table_schema" OPERATOR(pg_catalog.=) 'public'
            AND "tg_table_name" OPERATOR(pg_catalog.=) 'dummy_sketch')
        THEN
            BEGIN
                PERFORM "public"."badges_one_by_one"(
                    'update',
                    NULL::jsonb,
                    pg_catalog.array_agg(changed.user_id)::integer[],
                    pg_catalog.array_agg(changed.thing),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(NEW))),
                    pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(OLD))),
                    '{viral}'::text[],
                    '{f}'::bool[],
                    '{f}'::bool[],
                    ARRAY['{"new": ["hit_views"], "old": ["hit_views"]}'::jsonb])
                FROM (SELECT NEW."user_id" AS user_id, ''::text AS thing) AS changed
                WHERE changed.user_id IS NOT NULL;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                BEGIN
                    IF pg_catalog.left(SQLSTATE, 2) OPERATOR(pg_catalog.=) ANY ('{40,53,55}')
                       OR SQLSTATE OPERATOR(pg_catalog.=) '42804'
                    THEN
                        -- Not an error of a condition: a lock timeout, a deadlock, a lack of memory, a column that has
                        -- had another type when this session first read it. Pending checks are left by the changed rows
                        -- alone: no table is read, which could be locked as well.
                        PERFORM "public"."badges_postpone"(
                            'update',
                            NULL::jsonb,
                            pg_catalog.array_agg(changed.user_id)::integer[],
                            pg_catalog.array_agg(changed.thing),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(NEW))),
                            pg_catalog.array_agg("public"."badges_stored"(pg_catalog.to_json(OLD))),
                            '{viral}'::text[],
                            ARRAY['{"new": ["hit_views"], "old": ["hit_views"]}'::jsonb])
                        FROM (SELECT NEW."user_id" AS user_id, ''::text AS thing) AS changed
                        WHERE changed.user_id IS NOT NULL;
                    ELSE
                        -- The error concerns all of these badges: the user's column is gone, for instance.
                        PERFORM "public"."badges_note_failure"(failed.code, SQLSTATE, SQLERRM)
                        FROM pg_catalog.unnest(
                            '{viral}'::text[]) AS failed (code);
                    END IF;
                EXCEPTION WHEN OTHERS THEN
                    RAISE WARNING 'badges after % on %.% could not be checked: %',
                        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
                END;
            END;
        ELSE
            BEGIN
                PERFORM "public"."badges_note_misplaced"(
                    '{viral}'::text[],
                    'public.dummy_sketch', TG_TABLE_SCHEMA, TG_TABLE_NAME);
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE OPERATOR(pg_catalog.=) '40001'
                   AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'serializable'
                THEN
                    RAISE;
                END IF;
                RAISE WARNING 'badges after % on %.% could not be checked: %',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, SQLERRM;
            END;
        END IF;
    END;
    RETURN NULL;
END
$badges$;
COMMENT ON FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12" IS 'Made by django-pg-badges; {"summary": "Trigger function: checks badges after update on public.dummy_sketch, row-level.", "generator": 22, "badges": ["viral"], "body": "22fcf321851bb547"}';
REVOKE ALL ON FUNCTION "public"."badges_update_row_dummy_sketch_9e149d12" FROM PUBLIC;

-- create trigger badges_update_auth_user_3116e76a on public.auth_user: new: after update, statement-level
CREATE OR REPLACE TRIGGER "badges_update_auth_user_3116e76a" AFTER UPDATE ON "public"."auth_user"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_update_auth_user_3116e76a"();

-- create trigger badges_follow_user on public.auth_user: new: after update, row-level
CREATE OR REPLACE TRIGGER "badges_follow_user" AFTER UPDATE ON "public"."auth_user"
FOR EACH ROW EXECUTE FUNCTION "public"."badges_follow_user"();

-- create trigger badges_insert_badges_badge_d2690b9b on public.badges_badge: new: after insert, statement-level
CREATE OR REPLACE TRIGGER "badges_insert_badges_badge_d2690b9b" AFTER INSERT ON "public"."badges_badge"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_insert_badges_badge_d2690b9b"();

-- create trigger badges_add_awarded on public.badges_badge: new: after insert, statement-level
CREATE OR REPLACE TRIGGER "badges_add_awarded" AFTER INSERT ON "public"."badges_badge"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_add_awarded"();
-- Completes the history for badges awarded or revoked while the triggers that write it were not installed. These events
-- are quiet: they are not delivered.
WITH last AS (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM "public"."badges_badgeevent" AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
),
held AS (
    SELECT b.user_id, b.code, b.thing, b.awarded_at, b.evidence FROM "public"."badges_badge" AS b
)
INSERT INTO "public"."badges_badgeevent" (user_id, code, thing, kind, at, cause, evidence, quiet)
SELECT coalesce(held.user_id, last.user_id),
       coalesce(held.code, last.code),
       coalesce(held.thing, last.thing),
       CASE WHEN held.user_id IS NULL THEN 'revoked' ELSE 'awarded' END,
       CASE WHEN last.user_id IS NULL THEN held.awarded_at ELSE clock_timestamp() END,
       coalesce(
           CASE held.evidence ->> 'operation' WHEN 'award_badges' THEN 'award_badges'
           ELSE (held.evidence ->> 'operation') || ' on ' || (held.evidence ->> 'table') END,
           'found'),
       held.evidence,
       true
FROM held
FULL JOIN last ON last.user_id = held.user_id AND last.code = held.code AND last.thing = held.thing
WHERE (held.user_id IS NOT NULL) <> coalesce(last.kind = 'awarded', false);

-- create trigger badges_add_moved on public.badges_badge: new: after update, statement-level
CREATE OR REPLACE TRIGGER "badges_add_moved" AFTER UPDATE ON "public"."badges_badge"
REFERENCING OLD TABLE AS "badges_old" NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_add_moved"();
-- Completes the history for badges awarded or revoked while the triggers that write it were not installed. These events
-- are quiet: they are not delivered.
WITH last AS (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM "public"."badges_badgeevent" AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
),
held AS (
    SELECT b.user_id, b.code, b.thing, b.awarded_at, b.evidence FROM "public"."badges_badge" AS b
)
INSERT INTO "public"."badges_badgeevent" (user_id, code, thing, kind, at, cause, evidence, quiet)
SELECT coalesce(held.user_id, last.user_id),
       coalesce(held.code, last.code),
       coalesce(held.thing, last.thing),
       CASE WHEN held.user_id IS NULL THEN 'revoked' ELSE 'awarded' END,
       CASE WHEN last.user_id IS NULL THEN held.awarded_at ELSE clock_timestamp() END,
       coalesce(
           CASE held.evidence ->> 'operation' WHEN 'award_badges' THEN 'award_badges'
           ELSE (held.evidence ->> 'operation') || ' on ' || (held.evidence ->> 'table') END,
           'found'),
       held.evidence,
       true
FROM held
FULL JOIN last ON last.user_id = held.user_id AND last.code = held.code AND last.thing = held.thing
WHERE (held.user_id IS NOT NULL) <> coalesce(last.kind = 'awarded', false);

-- create trigger badges_add_revoked on public.badges_badge: new: after delete, statement-level
CREATE OR REPLACE TRIGGER "badges_add_revoked" AFTER DELETE ON "public"."badges_badge"
REFERENCING OLD TABLE AS "badges_old"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_add_revoked"();
-- Completes the history for badges awarded or revoked while the triggers that write it were not installed. These events
-- are quiet: they are not delivered.
WITH last AS (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM "public"."badges_badgeevent" AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
),
held AS (
    SELECT b.user_id, b.code, b.thing, b.awarded_at, b.evidence FROM "public"."badges_badge" AS b
)
INSERT INTO "public"."badges_badgeevent" (user_id, code, thing, kind, at, cause, evidence, quiet)
SELECT coalesce(held.user_id, last.user_id),
       coalesce(held.code, last.code),
       coalesce(held.thing, last.thing),
       CASE WHEN held.user_id IS NULL THEN 'revoked' ELSE 'awarded' END,
       CASE WHEN last.user_id IS NULL THEN held.awarded_at ELSE clock_timestamp() END,
       coalesce(
           CASE held.evidence ->> 'operation' WHEN 'award_badges' THEN 'award_badges'
           ELSE (held.evidence ->> 'operation') || ' on ' || (held.evidence ->> 'table') END,
           'found'),
       held.evidence,
       true
FROM held
FULL JOIN last ON last.user_id = held.user_id AND last.code = held.code AND last.thing = held.thing
WHERE (held.user_id IS NOT NULL) <> coalesce(last.kind = 'awarded', false);

-- create trigger badges_add_truncated on public.badges_badge: new: after truncate, statement-level
CREATE OR REPLACE TRIGGER "badges_add_truncated" AFTER TRUNCATE ON "public"."badges_badge"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_add_truncated"();
-- Completes the history for badges awarded or revoked while the triggers that write it were not installed. These events
-- are quiet: they are not delivered.
WITH last AS (
    SELECT DISTINCT ON (e.user_id, e.code, e.thing) e.user_id, e.code, e.thing, e.kind
    FROM "public"."badges_badgeevent" AS e
    ORDER BY e.user_id, e.code, e.thing, e.at DESC NULLS LAST
),
held AS (
    SELECT b.user_id, b.code, b.thing, b.awarded_at, b.evidence FROM "public"."badges_badge" AS b
)
INSERT INTO "public"."badges_badgeevent" (user_id, code, thing, kind, at, cause, evidence, quiet)
SELECT coalesce(held.user_id, last.user_id),
       coalesce(held.code, last.code),
       coalesce(held.thing, last.thing),
       CASE WHEN held.user_id IS NULL THEN 'revoked' ELSE 'awarded' END,
       CASE WHEN last.user_id IS NULL THEN held.awarded_at ELSE clock_timestamp() END,
       coalesce(
           CASE held.evidence ->> 'operation' WHEN 'award_badges' THEN 'award_badges'
           ELSE (held.evidence ->> 'operation') || ' on ' || (held.evidence ->> 'table') END,
           'found'),
       held.evidence,
       true
FROM held
FULL JOIN last ON last.user_id = held.user_id AND last.code = held.code AND last.thing = held.thing
WHERE (held.user_id IS NOT NULL) <> coalesce(last.kind = 'awarded', false);

-- create trigger badges_keep_events on public.badges_badgeevent: new: after update, row-level
CREATE OR REPLACE TRIGGER "badges_keep_events" AFTER UPDATE ON "public"."badges_badgeevent"
FOR EACH ROW EXECUTE FUNCTION "public"."badges_keep_events"();

-- create trigger badges_delete_dummy_like_082699e7 on public.dummy_like: new: after delete, statement-level
CREATE OR REPLACE TRIGGER "badges_delete_dummy_like_082699e7" AFTER DELETE ON "public"."dummy_like"
REFERENCING OLD TABLE AS "badges_old"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_delete_dummy_like_082699e7"();

-- create trigger badges_insert_dummy_like_f1d6616a on public.dummy_like: new: after insert, statement-level
CREATE OR REPLACE TRIGGER "badges_insert_dummy_like_f1d6616a" AFTER INSERT ON "public"."dummy_like"
REFERENCING NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_insert_dummy_like_f1d6616a"();

-- create trigger badges_update_dummy_like_e0af39e4 on public.dummy_like: new: after update, statement-level
CREATE OR REPLACE TRIGGER "badges_update_dummy_like_e0af39e4" AFTER UPDATE ON "public"."dummy_like"
REFERENCING OLD TABLE AS "badges_old" NEW TABLE AS "badges_new"
FOR EACH STATEMENT EXECUTE FUNCTION "public"."badges_update_dummy_like_e0af39e4"();

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
