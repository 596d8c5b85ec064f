-- The name of a table, and its column with which a path to the user may begin.
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.oid = {table}::regclass AND starts_with({path}, a.attname || '__')
