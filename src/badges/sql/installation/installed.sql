-- The functions of these schemas that carry our mark or one of the wanted names, and the triggers that call them. If no
-- schema is given, those of all schemas that have no table of badges of their own.
SELECT n.nspname,
       p.proname,
       p.prosrc,
       pg_catalog.pg_get_function_arguments(p.oid),
       l.lanname = 'plpgsql' AND p.provolatile = 'v',
       p.prosecdef,
       coalesce(p.proconfig, '{{}}'),
       pg_catalog.pg_get_userbyid(p.proowner),
       ARRAY(SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(acl.grantee)::text END
             FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS acl
             WHERE acl.grantee <> p.proowner),
       coalesce(pg_catalog.obj_description(p.oid, 'pg_proc'), ''),
       triggers.found
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
               'name', t.tgname,
               'table_oid', t.tgrelid::bigint,
               'schema', tn.nspname,
               'table', c.relname,
               'type', t.tgtype,
               'is_plain', t.tgnargs = 0 AND t.tgqual IS NULL AND t.tgattr = ''::int2vector AND t.tgconstraint = 0,
               'new_table', t.tgnewtable,
               'old_table', t.tgoldtable,
               'enabled', t.tgenabled) ORDER BY t.tgname), '[]') AS found
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = c.relnamespace
    WHERE t.tgfoid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0
) AS triggers
WHERE CASE WHEN cardinality({schemas}::name[]) > 0 THEN n.nspname = ANY ({schemas}::name[])
      ELSE n.nspname = {badges_schema}
           OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = {badges}) END
  AND (p.proname = ANY ({wanted}::text[])
       OR p.proname LIKE 'badges\_%'
          AND pg_catalog.starts_with(pg_catalog.obj_description(p.oid, 'pg_proc'), {marker}))
ORDER BY n.nspname, p.proname
