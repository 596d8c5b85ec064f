-- The roles that could act with the rights of the owner of the badges, and by which objects: those that the functions
-- reach and that another role owns, and the schemas that conditions search and in which another role may create objects.
WITH RECURSIVE other (role, name) AS (
    SELECT r.oid, r.rolname
    FROM pg_catalog.pg_roles r
    WHERE NOT r.rolsuper AND NOT pg_catalog.pg_has_role(r.oid, {owner}, 'MEMBER')
      AND r.rolname <> ALL ({trusted}::name[])
),
reached (class, object) AS (
    SELECT root.class, root.object FROM unnest({classes}::oid[], {objects}::oid[]) AS root (class, object)
    UNION
    SELECT 'pg_class'::regclass, table_.oid FROM unnest({written}::oid[] || {tables}::oid[]) AS table_ (oid)
    UNION
    -- The tables of the badges are written with the owner's rights: their triggers and indexes count as well.
    SELECT 'pg_trigger'::regclass, t.oid FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = ANY ({written}::oid[]) AND NOT t.tgisinternal
    UNION
    SELECT 'pg_class'::regclass, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ({written}::oid[])
    UNION
    SELECT next.class, next.object
    FROM reached r
    CROSS JOIN LATERAL (
        -- PostgreSQL records no dependency on what is its own.
        SELECT d.refclassid AS class, d.refobjid AS object
        FROM pg_catalog.pg_depend d
        WHERE d.classid = r.class AND d.objid = r.object
          AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass,
                               'pg_operator'::regclass, 'pg_namespace'::regclass)
        UNION ALL
        -- The types of the fields of a composite type.
        SELECT 'pg_class'::regclass, t.typrelid
        FROM pg_catalog.pg_type t
        WHERE r.class = 'pg_type'::regclass AND t.oid = r.object AND t.typrelid <> 0
        UNION ALL
        SELECT 'pg_rewrite'::regclass, w.oid
        FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class AND c.relkind <> 'm'
        WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object
        UNION ALL
        SELECT 'pg_policy'::regclass, p.oid
        FROM pg_catalog.pg_policy p
        WHERE r.class = 'pg_class'::regclass AND p.polrelid = r.object
        UNION ALL
        -- Defaults and generated columns.
        SELECT 'pg_attrdef'::regclass, a.oid
        FROM pg_catalog.pg_attrdef a
        WHERE r.class = 'pg_class'::regclass AND a.adrelid = r.object
        UNION ALL
        SELECT 'pg_constraint'::regclass, k.oid
        FROM pg_catalog.pg_constraint k
        WHERE k.contype = 'c'
          AND (r.class = 'pg_class'::regclass AND k.conrelid = r.object
               OR r.class = 'pg_type'::regclass AND k.contypid = r.object)
    ) AS next
),
found (role, how, object) AS (
    SELECT owned.role, 'owns', pg_catalog.pg_identify_object(r.class, r.object, 0)
    FROM reached r
    CROSS JOIN LATERAL (
        SELECT c.relowner FROM pg_catalog.pg_class c
        WHERE r.class = 'pg_class'::regclass AND c.oid = r.object AND c.relkind NOT IN ('i', 'I', 'c')
        UNION ALL
        SELECT p.proowner FROM pg_catalog.pg_proc p WHERE r.class = 'pg_proc'::regclass AND p.oid = r.object
        UNION ALL
        SELECT t.typowner FROM pg_catalog.pg_type t
        WHERE r.class = 'pg_type'::regclass AND t.oid = r.object
          -- Neither arrays nor the rows of tables, whose own objects are reached.
          AND t.typcategory <> 'A'
          AND (t.typrelid = 0 OR (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid) = 'c')
        UNION ALL
        SELECT o.oprowner FROM pg_catalog.pg_operator o WHERE r.class = 'pg_operator'::regclass AND o.oid = r.object
        UNION ALL
        SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE r.class = 'pg_namespace'::regclass AND n.oid = r.object
    ) AS owned (role)
    UNION ALL
    SELECT acl.grantee, 'may create objects in', pg_catalog.pg_identify_object('pg_namespace'::regclass, n.oid, 0)
    FROM pg_catalog.pg_namespace n
    CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS acl
    WHERE n.nspname = ANY (array_append(pg_catalog.current_schemas(false), {schema}::name))
      AND n.nspname !~ '^pg_temp_' AND acl.privilege_type = 'CREATE'
)
SELECT suspect.name, found.how, array_agg(DISTINCT (found.object).type || ' ' || (found.object).identity)
FROM found
JOIN pg_catalog.pg_database db ON db.datname = pg_catalog.current_database()
JOIN (
    SELECT other.role, other.name FROM other
    UNION ALL
    -- PUBLIC is trusted if each role that can log in is.
    SELECT 0, 'PUBLIC'
    WHERE 'PUBLIC' <> ALL ({trusted}::text[])
      AND EXISTS (SELECT FROM other JOIN pg_catalog.pg_roles r ON r.oid = other.role AND r.rolcanlogin)
) AS suspect
    -- The owner of a schema may be the role that stands for the owner of the database.
    ON suspect.role = CASE WHEN found.role = 'pg_database_owner'::regrole THEN db.datdba ELSE found.role END
GROUP BY suspect.name, found.how
ORDER BY suspect.name, found.how DESC
