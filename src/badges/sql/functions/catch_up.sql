CREATE OR REPLACE FUNCTION {function}(OUT awarded integer, OUT taken_back integer, OUT failed integer)
RETURNS record
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = {search_path}
SET jit = off
SET lock_timeout = '500ms'
{settings}
AS {body}
