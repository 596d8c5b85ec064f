-- What the probe views of facts/probes.py read, one row for each view, from PostgreSQL's own record of their rules.
-- MATERIALIZED, as the tree of a rule is long, and would become text again for each column that is looked for in it.
WITH rule AS MATERIALIZED (
    SELECT r.oid, r.ev_class, r.ev_action::text AS tree
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class view ON view.oid = r.ev_class
    WHERE view.relnamespace = pg_catalog.pg_my_temp_schema() AND view.relname LIKE 'badges\_view\_%'
)
SELECT view.relname,
       pg_catalog.format_type(value.atttypid, NULL),
       columns.new,
       columns.old,
       tree.reads_system_column,
       tree.locks_rows,
       tree.aggregates_one_row,
       tree.dangling_word,
       tables.names,
       tables.lacking,
       reads.of_tables,
       functions.volatile,
       tree.reads_clock OR functions.read_clock,
       functions.are_opaque,
       tree.returns_set,
       tree.aggregates,
       tree.queries
FROM rule
JOIN pg_catalog.pg_class view ON view.oid = rule.ev_class
JOIN pg_catalog.pg_attribute value ON value.attrelid = view.oid AND value.attnum = 1
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT a.attname::text) FILTER (WHERE probe.relname LIKE 'badges\_new\_%'), '{{}}') AS new,
           coalesce(array_agg(DISTINCT a.attname::text) FILTER (WHERE probe.relname LIKE 'badges\_old\_%'), '{{}}') AS old
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class probe ON probe.oid = d.refobjid AND probe.relnamespace = view.relnamespace
    -- Nothing depends on the columns of a row that is read as a whole; its variable has number 0.
    JOIN pg_catalog.pg_attribute a
        ON a.attrelid = probe.oid AND NOT a.attisdropped
           AND (a.attnum = d.refobjsubid
                OR a.attnum > 0 AND pg_catalog.strpos(rule.tree, ':varattno 0 :vartype ' || probe.reltype || ' ') > 0)
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid >= 0
) AS columns
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT n.nspname || '.' || c.relname), '{{}}') AS names,
           coalesce(array_agg(DISTINCT pg_catalog.format('SELECT ON %I.%I', n.nspname, c.relname))
                    FILTER (WHERE NOT pg_catalog.has_any_column_privilege({owner}, c.oid, 'SELECT')), '{{}}')
           || coalesce(array_agg(DISTINCT pg_catalog.format('USAGE ON SCHEMA %I', n.nspname))
                       FILTER (WHERE NOT pg_catalog.has_schema_privilege({owner}, n.oid, 'USAGE')), '{{}}') AS lacking
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relnamespace <> view.relnamespace
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
      AND d.refclassid = 'pg_catalog.pg_class'::regclass
) AS tables
CROSS JOIN LATERAL (
    -- Each table with the columns that are read of it, and those among them that hold the key of a user.
    SELECT coalesce(jsonb_agg(jsonb_build_array(c.oid::bigint, n.nspname, c.relname, columns.names, columns.of_users)
                              ORDER BY n.nspname, c.relname), '[]') AS of_tables
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{{}}') AS names,
               coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (
                   WHERE a.attrelid = {users} AND a.attname = {user_key}
                      OR EXISTS (
                          SELECT FROM pg_catalog.pg_constraint k
                          JOIN pg_catalog.pg_attribute key
                              ON key.attrelid = k.confrelid AND key.attname = {user_key} AND k.confkey = ARRAY[key.attnum]
                          WHERE k.contype = 'f' AND k.confrelid = {users}
                            AND k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum]
                      )
               ), '{{}}') AS of_users
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND (pg_catalog.strpos(rule.tree, ':varattno 0 :vartype ' || c.reltype || ' ') > 0
               OR EXISTS (
                   SELECT FROM pg_catalog.pg_depend d
                   WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
                     AND d.refclassid = 'pg_catalog.pg_class'::regclass
                     AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
               ))
    ) AS columns
    WHERE c.relnamespace <> view.relnamespace
      AND c.oid IN (
          SELECT d.refobjid FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
            AND d.refclassid = 'pg_catalog.pg_class'::regclass
      )
) AS reads
CROSS JOIN LATERAL (
    SELECT rule.tree ~ ':varattno -' AS reads_system_column,
           rule.tree ~ ':rowMarks \(' AS locks_rows,
           rule.tree ~ ':(?:hasAggs|hasWindowFuncs) true [^{{}}]*:rtable <>' AS aggregates_one_row,
           -- SELECT true AND is legal: AND names the column then.
           pg_catalog.substring(rule.tree, ':resname (and|or|not|is|in) ') AS dangling_word,
           -- Operations 0 to 8 of SQLValueFunctionOp are CURRENT_DATE to LOCALTIMESTAMP(n); those after name a role.
           rule.tree ~ '\{{SQLVALUEFUNCTION :op [0-8] ' AS reads_clock,
           rule.tree ~ ':hasTargetSRFs true' AS returns_set,
           -- One row comes of it, whatever the SELECT list says.
           rule.tree ~ ':hasAggs true'
               AND rule.tree !~ ':(?:hasWindowFuncs|hasTargetSRFs) true'
               AND rule.tree !~ ':(?:groupClause|groupingSets|distinctClause|sortClause) \('
               AND rule.tree !~ ':(?:havingQual|limitOffset|limitCount|setOperations) \{{' AS aggregates,
           cardinality(pg_catalog.string_to_array(rule.tree, '{{QUERY ')) - 1 AS queries
) AS tree
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT p.oid::regprocedure::text) FILTER (WHERE p.provolatile = 'v'), '{{}}') AS volatile,
           coalesce(bool_or(p.pronamespace = 'pg_catalog'::regnamespace
                            AND (p.proname IN ('now', 'transaction_timestamp', 'statement_timestamp')
                                 OR p.proname = 'age' AND p.pronargs = 1 AND p.provolatile = 's')), false) AS read_clock,
           -- A function of the site's own that is not immutable may read tables and the clock; nothing records which.
           coalesce(bool_or(p.provolatile <> 'i' AND p.pronamespace <> 'pg_catalog'::regnamespace
                            AND l.lanname NOT IN ('internal', 'c')), false) AS are_opaque
    FROM pg_catalog.regexp_matches(
        rule.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler) (\d+)', 'g') AS called (oid)
    JOIN pg_catalog.pg_proc p ON p.oid = called.oid[1]::oid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
) AS functions
