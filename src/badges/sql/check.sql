-- Looks at one badge for one changed row whose values were kept. Raises what the condition raises.
CREATE OR REPLACE FUNCTION {function}(badge_code text, event text, new_row jsonb, old_row jsonb, OUT earned boolean, OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
AS {body}
