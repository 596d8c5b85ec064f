CREATE OR REPLACE FUNCTION {function}(starting_table text, path text, start text)
RETURNS {key}
LANGUAGE plpgsql
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
{settings}
AS {body}
