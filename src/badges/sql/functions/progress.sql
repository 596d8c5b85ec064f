CREATE OR REPLACE FUNCTION {function}(
    users {key}[],
    OUT user_id {key},
    OUT code text,
    OUT value numeric)
RETURNS SETOF record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
{settings}
AS {body}
