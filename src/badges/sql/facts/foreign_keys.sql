-- The foreign keys with a column: for each the table that it refers to and the column there, the operator by which it
-- compares, the number of its columns, and the rights on that table that the owner of the badges lacks.
SELECT n.nspname,
       c.relname,
       a.attname,
       op_n.nspname,
       op.oprname,
       cardinality(k.conkey),
       ARRAY(
           SELECT pg_catalog.format('SELECT ON %I.%I', n.nspname, c.relname)
           WHERE NOT pg_catalog.has_any_column_privilege({owner}, c.oid, 'SELECT')
           UNION ALL
           SELECT pg_catalog.format('USAGE ON SCHEMA %I', n.nspname)
           WHERE NOT pg_catalog.has_schema_privilege({owner}, n.oid, 'USAGE')
       )
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = ANY (k.conkey)
JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = k.confkey[1]
JOIN pg_catalog.pg_operator op ON op.oid = k.conpfeqop[1]
JOIN pg_catalog.pg_namespace op_n ON op_n.oid = op.oprnamespace
WHERE k.contype = 'f' AND k.conrelid = {relation} AND own.attname = {name}
  -- Of a partitioned table each partition has a copy.
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_constraint whole
      WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)
ORDER BY cardinality(k.conkey), n.nspname, c.relname
