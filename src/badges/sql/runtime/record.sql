-- Writes down what a trigger or a settled check found: awards what is earned, leaves a pending check for what is not and
-- for what could not be awarded in time. Never fails, and waits for no other transaction longer than the setting says.
CREATE OR REPLACE FUNCTION {function}(users {key}[], codes text[], evidences jsonb[], earned boolean[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = {timeout}
AS $badges$
DECLARE
    left_over integer[];
BEGIN
    IF true = ANY (earned) THEN
        IF current_setting('badges.patience', true) = 'spent' THEN
            PERFORM set_config('lock_timeout', '1ms', true);
        END IF;
        BEGIN
            INSERT INTO {badges} (user_id, code, evidence)
            SELECT found.user_id, found.code, found.evidence
            FROM unnest(users, codes, evidences, earned) AS found (user_id, code, evidence, earned)
            WHERE found.earned
              AND (SELECT u.{user_key} FROM {users} AS u WHERE u.{user_key} = found.user_id) IS NOT NULL
            ON CONFLICT DO NOTHING;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE = '40001' AND current_setting('transaction_isolation') = 'serializable' THEN
                RAISE;
            ELSIF SQLSTATE = '55P03' THEN
                PERFORM set_config('badges.patience', 'spent', true);
            END IF;
            left_over := {record_parts}(users, codes, evidences, earned);
        END;
    END IF;
    IF false = ANY (earned) OR left_over IS NOT NULL THEN
        -- Two writers that make the table longer wait for each other a moment, which is no reason to give up.
        PERFORM set_config('lock_timeout', '0', true);
        INSERT INTO {pending} (bucket, user_id, code, evidence)
        SELECT {bucket}, found.user_id, found.code, found.evidence
        FROM unnest(users, codes, evidences, earned) WITH ORDINALITY AS found (user_id, code, evidence, earned, place)
        WHERE (NOT found.earned OR found.place = ANY (left_over)) AND found.user_id IS NOT NULL;
    END IF;
END
$badges$
