CREATE OR REPLACE FUNCTION {function}(buckets integer[], busy integer[])
RETURNS integer[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET lock_timeout = {timeout}
AS $badges$
-- Waits up to BADGES_WAIT for the locks of buckets that other transactions hold. Returns the buckets that count as not
-- locked; NULL if there are none.
{origin}
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + {timeout};
    bucket integer;
BEGIN
    -- Above READ COMMITTED the snapshot is older than the lock: what was committed in between is not seen. And where
    -- the condition of one badge reads other badges, awards could oscillate (A is revoked because B was awarded, and
    -- the reverse). In both cases every bucket counts as not locked: nothing is revoked, and pending checks are left.
    IF current_setting('transaction_isolation') <> 'read committed' OR pg_trigger_depth() > {deepest} THEN
        RETURN buckets;
    END IF;
    -- A bulk statement never waits, and a transaction that has waited in vain does not wait again.
    IF cardinality(busy) > 16
       OR {is_impatient}
    THEN
        RETURN busy;
    END IF;
    FOREACH bucket IN ARRAY coalesce(busy, '{{}}') LOOP
        BEGIN
            PERFORM pg_advisory_xact_lock({lock}, bucket);
            busy := nullif(array_remove(busy, bucket), '{{}}');
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            PERFORM {seal}('patience', '');
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
$badges$
