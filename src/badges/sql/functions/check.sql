-- Looks at one badge: for one changed row whose values were kept, as it was looked at after the write that `asks` names;
-- `among_others` looks at the user's other rows, too, where one of them may have been waiting for this one. Or for the user as a
-- whole, by the rows that exist, where `asks` is `state`, or a write after which the badge is looked at no more. Gives NULL for
-- what is not awarded any more. Raises what the condition raises.
CREATE OR REPLACE FUNCTION {function}(badge_code text, asks text, checked_user {key}, checked_thing text, new_row jsonb, old_row jsonb, among_others boolean, OUT earned boolean, OUT evidence jsonb)
RETURNS record
LANGUAGE plpgsql
SET search_path = {search_path}
SET jit = off
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS {body}
