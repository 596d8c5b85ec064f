-- Looks at one badge for one changed row whose values were kept; `among_others` looks at the user's other rows, too, where
-- one of them may have been waiting for this one. Raises what the condition raises.
CREATE OR REPLACE FUNCTION {function}(badge_code text, event text, checked_user {key}, new_row jsonb, old_row jsonb, among_others boolean, OUT earned boolean, OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS {body}
