-- The names of the functions that a condition can call without naming a schema.
SELECT DISTINCT proname::text
FROM pg_proc
WHERE prokind IN ('f', 'a') AND pg_function_is_visible(oid) AND has_function_privilege(oid, 'EXECUTE')
ORDER BY 1
