-- Tables of which row-level security may hide rows from a role: it applies to the role, and no policy shows it all rows.
SELECT wanted.name
FROM unnest({tables}::text[]) AS wanted (name)
JOIN pg_catalog.pg_namespace n ON pg_catalog.starts_with(wanted.name, n.nspname || '.')
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND wanted.name = n.nspname || '.' || c.relname
JOIN pg_catalog.pg_roles r ON r.rolname = {role}
CROSS JOIN LATERAL (
    SELECT bool_or(p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true') AS show_all,
           bool_or(NOT p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) <> 'true') AS restrict
    FROM pg_catalog.pg_policy p
    WHERE p.polrelid = c.oid
      AND p.polcmd IN ('r', '*')
      AND EXISTS (
          SELECT FROM unnest(p.polroles) AS applies (role)
          WHERE applies.role = 0 OR pg_catalog.pg_has_role(r.oid, applies.role, 'USAGE')
      )
) AS policies
WHERE c.relrowsecurity
  AND NOT (r.rolsuper OR r.rolbypassrls)
  AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'))
  AND (policies.show_all IS NOT TRUE OR policies.restrict IS TRUE)
ORDER BY wanted.name
