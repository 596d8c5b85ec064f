-- What tables of the app have beside their columns: constraints, indexes, defaults, and how the column that names a user
-- differs from the users' key.
SELECT c.oid::bigint,
       constraints.found,
       indexes.found,
       defaults.found,
       -- Without a modifier, such as the length of a varchar, a column takes all values of the type.
       coalesce(
           CASE WHEN own.atttypid = key.atttypid THEN own.atttypmod NOT IN (-1, key.atttypmod)
           ELSE pg_catalog.format_type(coalesce(nullif(own_type.typbasetype, 0), own_type.oid), NULL) <> {key_type} END,
           false),
       pg_catalog.format_type(key.atttypid, key.atttypmod),
       coalesce(c.reloptions, '{{}}')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute key ON key.attrelid = {users} AND key.attname = {user_key}
LEFT JOIN pg_catalog.pg_attribute own ON own.attrelid = c.oid AND own.attname = 'user_id' AND NOT own.attisdropped
LEFT JOIN pg_catalog.pg_type own_type ON own_type.oid = own.atttypid
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.json_object_agg(k.conname, pg_catalog.json_build_object(
               'definition', CASE WHEN k.contype <> 'f' THEN pg_catalog.pg_get_constraintdef(k.oid) ELSE
                   pg_catalog.format(
                       'FOREIGN KEY (%s) REFERENCES %s (%s)%s%s%s%s%s',
                       columns.own, k.confrelid, columns.referenced,
                       CASE k.confupdtype WHEN 'c' THEN ' ON UPDATE CASCADE' WHEN 'a' THEN '' ELSE ' ON UPDATE ...' END,
                       CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'a' THEN '' ELSE ' ON DELETE ...' END,
                       CASE WHEN k.condeferrable THEN ' DEFERRABLE' END,
                       CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END,
                       -- As PostgreSQL 18 allows.
                       CASE pg_catalog.to_jsonb(k) ->> 'conenforced' WHEN 'false' THEN ' NOT ENFORCED' END) END,
               'is_valid', k.convalidated)), '{{}}') AS found
    FROM pg_catalog.pg_constraint k
    CROSS JOIN LATERAL (
        SELECT pg_catalog.string_agg(a.attname, ', ') FILTER (WHERE a.attrelid = k.conrelid) AS own,
               pg_catalog.string_agg(a.attname, ', ') FILTER (WHERE a.attrelid = k.confrelid) AS referenced
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
           OR a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)
    ) AS columns
    WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u')
) AS constraints
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.json_object_agg(i.relname, pg_catalog.json_build_object(
               -- Without its storage parameters, which are the site's, and with Django's NOT (... IS NULL) as one test.
               'definition', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || pg_catalog.regexp_replace(
                   pg_catalog.regexp_replace(
                       pg_catalog.substring(pg_catalog.pg_get_indexdef(i.oid), ' USING (.*)$'),
                       '\) WITH \([^)]*\)', ')'),
                   '\(NOT \((\w+) IS NULL\)\)$', '(\1 IS NOT NULL)'),
               'is_valid', x.indisvalid)), '{{}}') AS found
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid
) AS indexes
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.json_object_agg(a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid)), '{{}}') AS found
    FROM pg_catalog.pg_attrdef d
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = c.oid
) AS defaults
WHERE c.oid = ANY ({tables}::bigint[]::oid[])
