-- Does in one call, for the badges that come late, what award_badges does. Whoever writes meanwhile waits for it no longer than for
-- any other badge work; what is kept from it for half a second it leaves to the next call.
CREATE OR REPLACE FUNCTION {function}(OUT awarded integer, OUT taken_back integer, OUT failed integer)
RETURNS record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {search_path}
SET jit = off
SET lock_timeout = '500ms'
AS {body}
