-- What the probe views of facts/probes.py read, one row for each view, from PostgreSQL's own record of their rules.
-- MATERIALIZED, as the tree of a rule is long, and would become text again for each column that is looked for in it.
WITH RECURSIVE rule AS MATERIALIZED (
    SELECT r.oid, r.ev_class, r.ev_action::text AS tree
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class view ON view.oid = r.ev_class
    WHERE view.relnamespace = pg_catalog.pg_my_temp_schema() AND view.relname LIKE 'badges\_view\_%'
),
-- The rules of the views that it reads, which become part of the query; and of those that these read.
inner_rule (probe, oid) AS (
    SELECT rule.oid, rule.oid FROM rule
    UNION
    SELECT i.probe, r.oid
    FROM inner_rule i
    JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = i.oid
           AND d.refclassid = 'pg_catalog.pg_class'::regclass
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'v'
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid AND r.ev_type = '1'
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
       functions.count,
       tree.queries,
       session.reads,
       rule.tree,
       copies.of_row,
       ARRAY(SELECT oid::bigint FROM pg_catalog.pg_operator WHERE oprname = '='),
       -- What it depends on beside PostgreSQL's own objects, by class and oid.
       ARRAY(
           SELECT DISTINCT ARRAY[d.refclassid::bigint, d.refobjid::bigint]
           FROM pg_catalog.pg_depend d
           WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                             WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid
                               AND c.relnamespace = view.relnamespace)
       )
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
    -- The relations that stand for the changed row, and the names of their columns.
    SELECT coalesce(jsonb_agg(jsonb_build_array(
                        c.oid::bigint,
                        ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                              WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum))), '[]') AS of_row
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = view.relnamespace AND c.relkind = 'r'
      AND c.oid IN (
          SELECT d.refobjid FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = rule.oid
            AND d.refclassid = 'pg_catalog.pg_class'::regclass
      )
) AS copies
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
    SELECT coalesce(jsonb_agg(jsonb_build_array(c.oid::bigint, n.nspname, c.relname,
                                                columns.names, columns.of_users, columns.numbers)
                              ORDER BY n.nspname, c.relname), '[]') AS of_tables
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{{}}') AS names,
               coalesce(array_agg(a.attnum ORDER BY a.attnum), '{{}}') AS numbers,
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
                            AND l.lanname NOT IN ('internal', 'c')), false) AS are_opaque,
           -- Its own rows, and not those of an outer query; compared by an operator of PostgreSQL.
           coalesce(bool_or(p.oid IN ('pg_catalog.count()'::regprocedure, 'pg_catalog.count("any")'::regprocedure))
                    AND NOT bool_or(p.proname = 'count'
                                    AND p.oid NOT IN ('pg_catalog.count()'::regprocedure,
                                                      'pg_catalog.count("any")'::regprocedure)), false)
               AND rule.tree !~ ':agglevelsup [1-9]'
               AND NOT EXISTS (
                   SELECT FROM pg_catalog.regexp_matches(rule.tree, ':opno (\d+)', 'g') AS used (oid)
                   JOIN pg_catalog.pg_operator o ON o.oid = used.oid[1]::oid
                   JOIN pg_catalog.pg_type t ON t.oid = o.oprleft
                   WHERE o.oprnamespace <> 'pg_catalog'::regnamespace
                     AND (t.typtype = 'p' OR t.oid = 'bigint'::regtype
                          OR EXISTS (
                              SELECT FROM pg_catalog.pg_cast c
                              WHERE c.castsource = 'bigint'::regtype AND c.casttarget = t.oid AND c.castcontext = 'i'
                          ))
               ) AS count
    FROM pg_catalog.regexp_matches(
        rule.tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler) (\d+)', 'g') AS called (oid)
    JOIN pg_catalog.pg_proc p ON p.oid = called.oid[1]::oid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
) AS functions
CROSS JOIN LATERAL (
    -- What may depend on the settings of the session; facts/session.py says on which.
    SELECT jsonb_build_object(
               'types', types.names,
               'constants', constants.types,
               'functions', called.functions,
               'sources', called.sources,
               'converts', inner_rules.tree
                           ~ '\{{(?:COERCEVIAIO|JSONCONSTRUCTOREXPR|JSONEXPR|XMLEXPR|TABLEFUNC) ',
               -- Of the operations of SQLValueFunctionOp, CURRENT_TIMESTAMP alone is the same in each time zone.
               'local_time', inner_rules.tree ~ '\{{SQLVALUEFUNCTION :op [0125678] ') AS reads
    FROM (
        SELECT pg_catalog.string_agg(r.ev_action::text, ' ') AS tree
        FROM inner_rule i
        JOIN pg_catalog.pg_rewrite r ON r.oid = i.oid
        WHERE i.probe = rule.oid
        OFFSET 0
    ) AS inner_rules
    CROSS JOIN LATERAL (
        -- The types, with those that they are made of.
        WITH RECURSIVE used (type) AS (
            SELECT DISTINCT named.type[1]::oid
            FROM pg_catalog.regexp_matches(
                -- A join lists all columns of its tables, even those that nothing reads.
                pg_catalog.regexp_replace(
                    inner_rules.tree, ':joinaliasvars \((?:\{{VAR [^{{}}]*\}} ?)*\) :joinleftcols', '', 'g'),
                ':[a-z_]*type(?:id)? (\d+)', 'g') AS named (type)
            UNION
            SELECT part.type
            FROM used
            JOIN pg_catalog.pg_type t ON t.oid = used.type
            CROSS JOIN LATERAL (
                SELECT t.typbasetype WHERE t.typtype = 'd'
                UNION ALL
                SELECT t.typelem WHERE t.typelem <> 0
                UNION ALL
                SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
                UNION ALL
                SELECT a.atttypid FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped
            ) AS part (type)
        )
        SELECT coalesce(array_agg(pg_catalog.format_type(used.type, NULL)), '{{}}') AS names
        FROM used
        WHERE used.type <> 0
    ) AS types
    CROSS JOIN LATERAL (
        -- Those in views were read when the view was made.
        SELECT coalesce(array_agg(DISTINCT pg_catalog.format_type(read.type[1]::oid, NULL)), '{{}}') AS types
        FROM pg_catalog.regexp_matches(
            rule.tree, ':consttype (\d+) :consttypmod -?\d+ :constcollid \d+ :constlen -?\d+ :constbyval \w+ :constisnull false',
            'g') AS read (type)
    ) AS constants
    CROSS JOIN LATERAL (
        SELECT coalesce(
                   jsonb_agg(DISTINCT jsonb_build_array(
                       p.proname,
                       ARRAY(SELECT pg_catalog.format_type(type.oid, NULL)
                             FROM unnest(p.prorettype || p.proargtypes::oid[]) AS type (oid))))
                   FILTER (WHERE p.provolatile <> 'i' AND l.lanname IN ('internal', 'c', 'sql')
                                 AND (p.pronamespace = 'pg_catalog'::regnamespace OR l.lanname <> 'sql')),
                   '[]') AS functions,
               coalesce(
                   jsonb_agg(DISTINCT jsonb_build_array(p.provolatile = 'i', p.prosrc))
                   FILTER (WHERE p.pronamespace <> 'pg_catalog'::regnamespace AND l.lanname NOT IN ('internal', 'c')),
                   '[]') AS sources
        FROM pg_catalog.regexp_matches(
            inner_rules.tree,
            ':(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler|startInRangeFunc|endInRangeFunc) (\d+)', 'g'
        ) AS named (oid)
        JOIN pg_catalog.pg_proc p ON p.oid = named.oid[1]::oid
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    ) AS called
) AS session
