
-- Written by create_badge_triggers (django-pg-badges) from the badge file; what is changed here is lost at its next run.
#variable_conflict use_column
BEGIN
{arms}
END
