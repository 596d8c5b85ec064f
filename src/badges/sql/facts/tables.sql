-- Relations by their exact names, with their columns and what the current role may do with them. `place` is that of the
-- name among those that are wanted; a name without a schema is looked for on the search path.
SELECT wanted.place,
       c.oid::bigint,
       n.nspname,
       c.relname,
       c.relkind,
       c.relpersistence = 't',
       c.relispartition OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
       pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       -- A write to a parent reaches the rows of these, a write to one of these fires no trigger of its parent.
       ARRAY(
           WITH RECURSIVE child (oid) AS (
               SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid AND c.relkind = 'r'
               UNION
               SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN child ON child.oid = i.inhparent
           )
           SELECT child_n.nspname || '.' || child_c.relname
           FROM child
           JOIN pg_catalog.pg_class child_c ON child_c.oid = child.oid
           JOIN pg_catalog.pg_namespace child_n ON child_n.oid = child_c.relnamespace
           ORDER BY 1
       ),
       columns.names,
       columns.types,
       columns.equal_means_identical,
       columns.are_virtual,
       columns.are_own
FROM unnest({schemas}::name[], {names}::name[]) WITH ORDINALITY AS wanted (schema, name, place)
JOIN pg_catalog.pg_class c ON c.relname = wanted.name
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{{}}') AS names,
           coalesce(array_agg(pg_catalog.format_type(base.type, NULL) ORDER BY a.attnum), '{{}}') AS types,
           coalesce(array_agg(
               base.type IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
                             'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'bytea'::regtype)
               OR base.type IN ('text'::regtype, 'varchar'::regtype) AND l.collisdeterministic
               ORDER BY a.attnum), '{{}}') AS equal_means_identical,
           coalesce(array_agg(a.attgenerated = 'v' ORDER BY a.attnum), '{{}}') AS are_virtual,
           -- FirstNormalObjectId: from there on, objects are not PostgreSQL's own.
           coalesce(array_agg(base.type >= 16384 ORDER BY a.attnum), '{{}}') AS are_own
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type own ON own.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
    CROSS JOIN LATERAL (
        SELECT CASE WHEN own.typtype <> 'd' THEN own.oid ELSE (
            WITH RECURSIVE domain (type) AS (
                SELECT own.typbasetype
                UNION ALL
                SELECT t.typbasetype FROM domain JOIN pg_catalog.pg_type t ON t.oid = domain.type WHERE t.typtype = 'd'
            )
            SELECT domain.type FROM domain JOIN pg_catalog.pg_type t ON t.oid = domain.type WHERE t.typtype <> 'd'
        ) END AS type
    ) AS base
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS columns
WHERE CASE WHEN wanted.schema IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = wanted.schema END
