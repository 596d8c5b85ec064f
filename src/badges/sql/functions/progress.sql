-- How far these users have come on the way to each badge that has a goal: the number that its progress gives now, NULL if there
-- is none or it fails.
CREATE OR REPLACE FUNCTION {function}(users {key}[], OUT user_id {key}, OUT code text, OUT value numeric)
RETURNS SETOF record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS {body}
