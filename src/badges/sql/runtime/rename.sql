CREATE OR REPLACE FUNCTION {function}(old_code text, new_code text)
RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Gives the holders, the history, the pending checks and the failures of one badge to another, and deletes its
-- definition. Of a badge that a user holds under both codes, the one under the new code stays.
{origin}
BEGIN
    -- No award under the old code can follow: transactions that have made one are waited for, and others wait for this
    -- one, which brings the functions that know the new code.
    LOCK TABLE {badges}, {pending} IN SHARE ROW EXCLUSIVE MODE;
    -- The triggers on badges and events let these changes pass, and write no events of their own for them.
    PERFORM {seal}('rewriting', '');
    DELETE FROM {badges} AS b
    USING {badges} AS kept
    WHERE b.code = old_code
      AND kept.user_id = b.user_id AND kept.code = new_code AND kept.thing = b.thing;
    UPDATE {badges} AS b SET code = new_code WHERE b.code = old_code;
    UPDATE {events} AS e SET code = new_code WHERE e.code = old_code;
    PERFORM set_config('badges.rewriting', '', true);
    DELETE FROM {pending} AS p
    USING {pending} AS kept
    WHERE p.code = old_code
      AND kept.user_id = p.user_id AND kept.code = new_code AND kept.thing = p.thing
      AND kept.what = p.what AND kept.noted_by = p.noted_by;
    UPDATE {pending} AS p SET code = new_code WHERE p.code = old_code;
    UPDATE {failures} AS f SET code = new_code WHERE f.code = old_code;
    DELETE FROM {definitions} AS d WHERE d.code = old_code;
END
$badges$
