"""What rules need: translations, progress and goals, things, badges that end and badges that were given by hand."""

import django.db.models.functions.comparison
from django.db import migrations, models

OPTIONS = {
    "verbose_name": "badge definition",
    "verbose_name_plural": "badge definitions",
    "ordering": ("position", "goal", "code"),
}

# The installed functions may write columns that go; create_badge_triggers makes them anew.
DROP_TRIGGERS = r"""
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS relation
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0
        WHERE p.proname LIKE 'badges\_%'
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'Made by django-pg-badges; ')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.relation);
    END LOOP;
    FOR old IN
        SELECT p.oid::regprocedure AS function
        FROM pg_catalog.pg_proc p
        WHERE p.proname LIKE 'badges\_%'
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'Made by django-pg-badges; ')
    LOOP
        EXECUTE format('DROP FUNCTION %s', old.function);
    END LOOP;
END
$$
"""

# Without things a user holds a code once, and no badge ends.
KEEP_ONE_OF_EACH = [
    "DELETE FROM badges_badge WHERE expires_at <= statement_timestamp()",
    """
    DELETE FROM badges_badge b
    USING badges_badge first
    WHERE first.user_id = b.user_id AND first.code = b.code
      AND (coalesce(first.awarded_at, '-infinity'), first.id) < (coalesce(b.awarded_at, '-infinity'), b.id)
    """,
]


class Migration(migrations.Migration):
    dependencies = [("badges", "0002_definitions")]
    operations = [
        # A model that is not managed would get its columns only on paper.
        migrations.AlterModelOptions(name="badgedefinition", options=OPTIONS),
        migrations.AddField(
            model_name="badgedefinition",
            name="translations",
            field=models.JSONField(blank=True, default=dict, verbose_name="translations"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="progress",
            field=models.TextField(blank=True, default="", verbose_name="progress"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="goal",
            field=models.DecimalField(blank=True, decimal_places=10, max_digits=40, null=True, verbose_name="goal"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="triggers",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="The tables that are watched beside the trigger table.",
                verbose_name="triggers",
            ),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="per",
            field=models.TextField(blank=True, default="", verbose_name="per"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="revocable",
            field=models.BooleanField(default=False, verbose_name="revocable"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="active",
            field=models.BooleanField(default=True, verbose_name="active"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="expires_after",
            field=models.TextField(blank=True, default="", verbose_name="expires after"),
        ),
        migrations.AddField(
            model_name="badgedefinition",
            name="rule",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The version of the rule: a digest of what decides the badge.",
                verbose_name="rule",
            ),
        ),
        migrations.AlterModelOptions(name="badgedefinition", options={**OPTIONS, "managed": False}),
        migrations.AddField(
            model_name="badge",
            name="thing",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="The key of what the badge was awarded for.",
                verbose_name="thing",
            ),
        ),
        migrations.AddField(
            model_name="badge",
            name="expires_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="expires at"),
        ),
        migrations.AddField(
            model_name="badge",
            name="by_hand",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Awarded by hand: its rule never takes it back.",
                verbose_name="by hand",
            ),
        ),
        migrations.RemoveConstraint(model_name="badge", name="badges_badge_user_code"),
        migrations.AddConstraint(
            model_name="badge",
            constraint=models.UniqueConstraint(
                models.F("user"),
                django.db.models.functions.comparison.Collate("definition", "C"),
                models.F("thing"),
                name="badges_badge_user_code",
            ),
        ),
        migrations.AddField(
            model_name="pendingcheck",
            name="thing",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="thing"),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, [DROP_TRIGGERS, *KEEP_ONE_OF_EACH]),
    ]
