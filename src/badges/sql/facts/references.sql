-- Where the foreign keys of columns lead: one row for each column that has a foreign key of its own, with the table that
-- it refers to, whether its values are keys of users, directly or by further keys, and the shortest path of
-- columns to a user, by no more than three keys.
WITH RECURSIVE wanted AS (
    SELECT w.relation, a.attnum AS number, w.name
    FROM unnest({relations}::oid[], {names}::name[]) AS w (relation, name)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = w.relation AND a.attname = w.name
),
key AS (
    SELECT k.conrelid AS relation, k.conkey[1] AS number, k.confrelid AS referenced, k.confkey[1] AS to_number
    FROM pg_catalog.pg_constraint k
    WHERE k.contype = 'f' AND cardinality(k.conkey) = 1
),
reached AS (
    SELECT w.relation, w.name, key.referenced, key.to_number FROM wanted w JOIN key USING (relation, number)
    UNION
    SELECT r.relation, r.name, key.referenced, key.to_number
    FROM reached r
    JOIN key ON key.relation = r.referenced AND key.number = r.to_number
),
-- Where the values of the users' key are keys, too: that of the users may refer to another table.
of_user AS (
    SELECT {users}::oid AS relation, a.attnum AS number
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = {users} AND a.attname = {user_key}
    UNION
    SELECT key.referenced, key.to_number FROM of_user o JOIN key USING (relation, number)
),
way AS (
    SELECT w.relation, w.name, ARRAY[w.name::text] AS columns, key.referenced AS relation_there, key.to_number
    FROM wanted w JOIN key USING (relation, number)
    UNION ALL
    SELECT w.relation, w.name, w.columns || a.attname::text, key.referenced, key.to_number
    FROM way w
    JOIN key ON key.relation = w.relation_there
    JOIN pg_catalog.pg_attribute a ON a.attrelid = key.relation AND a.attnum = key.number
    WHERE w.relation_there <> {users} AND cardinality(w.columns) < 3
)
SELECT DISTINCT ON (w.relation, w.name)
       w.relation::bigint,
       w.name,
       n.nspname || '.' || c.relname,
       EXISTS (
           SELECT FROM reached r
           JOIN of_user o ON (o.relation, o.number) = (r.referenced, r.to_number)
           WHERE r.relation = w.relation AND r.name = w.name
       ),
       (
           SELECT way.columns
           FROM way
           JOIN pg_catalog.pg_attribute a ON a.attrelid = way.relation_there AND a.attnum = way.to_number
           WHERE way.relation = w.relation AND way.name = w.name
             AND way.relation_there = {users} AND a.attname = {user_key}
           ORDER BY cardinality(way.columns), way.columns
           LIMIT 1
       )
FROM wanted w
JOIN key USING (relation, number)
JOIN pg_catalog.pg_class c ON c.oid = key.referenced
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY w.relation, w.name, key.referenced
