CREATE OR REPLACE FUNCTION {function}(
    only_buckets integer[],
    most integer,
    OUT settled integer,
    OUT kept integer)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET TimeZone = {time_zone}
SET IntervalStyle = 'postgres'
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = {timeout}
AS $badges$
-- Settles pending checks: locks the user's bucket, evaluates the condition in a newer snapshot, awards or revokes.
-- Evaluates at most this many, of the given buckets or (NULL) of all. A check stays while another open transaction
-- shares it, holds the lock or blocks the award. Does nothing above READ COMMITTED.
{origin}
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
            PERFORM {follow}();
            -- One or two of them may be due to the machine.
            DELETE FROM {overruns} AS o
            WHERE o.at < clock_timestamp() - interval '1 hour' AND {deferred}(o.codes) IS NULL;
            only_buckets := ARRAY(SELECT DISTINCT p.bucket FROM {pending} AS p);
        END IF;
        -- First all locks, then, in later statements, the evaluations. Checks that open transactions share are skipped.
        ids := ARRAY(
            SELECT p.id FROM {pending} AS p
            WHERE p.bucket = ANY (only_buckets) AND p.failed_at IS NULL AND p.noted_by < own
            ORDER BY p.noted_by
            LIMIT most * 100
            FOR UPDATE SKIP LOCKED);
        IF cardinality(ids) < most THEN
            -- Those whose condition has failed come last.
            ids := ids || ARRAY(
                SELECT p.id FROM {pending} AS p
                WHERE p.bucket = ANY (only_buckets) AND p.failed_at IS NOT NULL AND p.noted_by < own
                ORDER BY p.failed_at
                LIMIT most
                FOR UPDATE SKIP LOCKED);
        END IF;
        -- Within the block, as the table of definitions may be locked as well.
        SELECT done.settled, done.kept INTO settled, kept FROM {settle_locked}(ids, most) AS done;
    EXCEPTION WHEN lock_not_available THEN
        settled := 0;  -- one of the tables is locked: nothing can be settled now
        kept := 0;
    END;
END
$badges$
