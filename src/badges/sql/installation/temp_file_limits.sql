-- Where temp_file_limit is set: for this session, and for roles in this database, NULL being any role.
SELECT NULL::text, pg_catalog.current_setting('temp_file_limit')
WHERE pg_catalog.current_setting('temp_file_limit') <> '-1'
UNION
SELECT pg_catalog.pg_get_userbyid(nullif(s.setrole, 0)), pg_catalog.split_part(setting.text, '=', 2)
FROM pg_catalog.pg_db_role_setting s
CROSS JOIN LATERAL unnest(s.setconfig) AS setting (text)
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
  AND pg_catalog.starts_with(setting.text, 'temp_file_limit=')
  AND pg_catalog.split_part(setting.text, '=', 2) <> '-1'
ORDER BY 1 NULLS FIRST, 2
