-- Waits a moment for the buckets that others hold; gives back those that it did not get.
CREATE OR REPLACE FUNCTION {function}(buckets integer[], busy integer[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = {timeout}
AS $badges$
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + {timeout};
    bucket integer;
BEGIN
    -- A snapshot that was taken before the lock does not show what others have committed meanwhile. And where badges decide
    -- about badges, one that comes because it has gone would go because it has come: so deep down nothing is taken back.
    IF current_setting('transaction_isolation') <> 'read committed' OR pg_trigger_depth() > {deepest} THEN
        RETURN buckets;
    END IF;
    -- A bulk statement never waits, and a transaction that has waited in vain does not wait again.
    IF cardinality(busy) > 16 OR current_setting('badges.patience', true) = 'spent' THEN
        RETURN busy;
    END IF;
    FOREACH bucket IN ARRAY coalesce(busy, '{{}}') LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock({lock}, bucket);
            busy := nullif(array_remove(busy, bucket), '{{}}');
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
$badges$
