-- The jobs of this name that pg_cron runs in this database, as far as the role may see them.
SELECT j.jobid, j.schedule, j.command, j.username, j.active
FROM cron.job AS j
WHERE j.jobname = {name} AND j.database = pg_catalog.current_database()
ORDER BY j.username <> current_user, j.jobid
