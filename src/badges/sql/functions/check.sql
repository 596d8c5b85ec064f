CREATE OR REPLACE FUNCTION {function}(
    badge_code text,
    asks text,
    checked_user {key},
    checked_thing text,
    new_row jsonb,
    old_row jsonb,
    among_others boolean,
    OUT earned boolean,
    OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
{settings}
AS {body}
