"""From the table of 0.1 to the tables of 1.0, with every badge that somebody holds kept."""

import django.contrib.postgres.functions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import badges.fields
from badges.exceptions import UnsupportedDatabase

# The triggers of 0.1 write the column "name", which goes: left alone, they would break every write to their tables.
DROP_TRIGGERS_OF_0_1 = r"""
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS relation, p.oid::regprocedure AS function
        FROM pg_catalog.pg_proc p
        LEFT JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal
        WHERE p.proname ILIKE 'badge\_%' AND p.prorettype = 'trigger'::regtype
          AND p.prosrc ~ 'INSERT INTO badges_badge \(user_id, name, code\)'
    LOOP
        IF old.tgname IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.relation);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgfoid = old.function::oid) THEN
            EXECUTE format('DROP FUNCTION %s', old.function);
        END IF;
    END LOOP;
END
$$
"""

# The other way round: the triggers of 1.0 write columns that 0.1 does not have.
DROP_TRIGGERS_OF_1_0 = r"""
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

# The definitions are made from the badges that exist, and start as retired: the file brings back what it still has.
KEEP_BADGES_OF_0_1 = """
CREATE TEMPORARY TABLE badges_of_0_1 ON COMMIT DROP AS
SELECT id, user_id, code, name FROM badges_badge
"""

RESTORE_BADGES_OF_0_1 = [
    """
    INSERT INTO badges_badgedefinition
        (code, name, description, category, image, points, position, secret,
         condition, trigger_condition, trigger_table, user_field, retired_at)
    SELECT DISTINCT ON (code)
        code, name, '', '', '', 0, 0, false, '', '[]'::jsonb, '', '', statement_timestamp()
    FROM badges_of_0_1
    ORDER BY code, id DESC
    """,
    # 0.1 kept user and name unique, not user and code. When it awarded a badge, it did not record.
    """
    INSERT INTO badges_badge (user_id, code, awarded_at)
    SELECT DISTINCT user_id, code, NULL::timestamptz
    FROM badges_of_0_1
    """,
    "DROP TABLE badges_of_0_1",
]

# Back to 0.1: two badges of one user may have come to share a name, which 0.1 does not allow.
KEEP_BADGES_OF_1_0 = """
CREATE TEMPORARY TABLE badges_of_1_0 ON COMMIT DROP AS
SELECT DISTINCT ON (b.user_id, d.name) b.user_id, b.code, d.name
FROM badges_badge b JOIN badges_badgedefinition d USING (code)
ORDER BY b.user_id, d.name, b.awarded_at
"""

RESTORE_BADGES_OF_1_0 = [
    "INSERT INTO badges_badge (user_id, code, name) SELECT user_id, code, name FROM badges_of_1_0",
    "DROP TABLE badges_of_1_0",
]

# Checked at once, so that a user who is deleted meanwhile fails the award and not the writer's COMMIT.
# The users' can be deferred, as loaddata may bring a badge before its user.
FOREIGN_KEYS = """
ALTER TABLE badges_badge
    ADD CONSTRAINT badges_badge_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE
        DEFERRABLE INITIALLY IMMEDIATE,
    ADD CONSTRAINT badges_badge_code_fk FOREIGN KEY (code) REFERENCES badges_badgedefinition (code)
"""


def require_postgresql(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        raise UnsupportedDatabase(
            f'The database "{schema_editor.connection.alias}" is not PostgreSQL. Keep the app "badges" away from it '
            "with a database router (allow_migrate)."
        )


def add_foreign_keys(apps, schema_editor):
    users = apps.get_model(settings.AUTH_USER_MODEL)._meta
    quote = schema_editor.quote_name
    schema_editor.execute(FOREIGN_KEYS.format(users=quote(users.db_table), key=quote(users.pk.column)))


class Migration(migrations.Migration):
    dependencies = [("badges", "0001_initial")]
    operations = [
        migrations.RunPython(require_postgresql, migrations.RunPython.noop),
        migrations.RunSQL(DROP_TRIGGERS_OF_0_1, DROP_TRIGGERS_OF_1_0),
        migrations.RunSQL(KEEP_BADGES_OF_0_1, RESTORE_BADGES_OF_1_0),
        migrations.DeleteModel("Badge"),
        migrations.CreateModel(
            name="BadgeDefinition",
            fields=[
                ("code", models.CharField(max_length=100, primary_key=True, serialize=False, verbose_name="code")),
                ("name", models.TextField(verbose_name="name")),
                ("description", models.TextField(blank=True, default="", verbose_name="description")),
                ("category", models.TextField(blank=True, default="", verbose_name="category")),
                ("image", models.TextField(blank=True, default="", verbose_name="image")),
                ("points", models.IntegerField(default=0, verbose_name="points")),
                ("position", models.IntegerField(default=0, verbose_name="position")),
                ("secret", models.BooleanField(default=False, verbose_name="secret")),
                ("condition", models.TextField(blank=True, default="", verbose_name="condition")),
                ("trigger_condition", models.JSONField(default=list, verbose_name="trigger condition")),
                ("trigger_table", models.TextField(blank=True, default="", verbose_name="trigger table")),
                ("user_field", models.TextField(blank=True, default="", verbose_name="user field")),
                (
                    "retired_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When the badge was taken out of the badge file.",
                        null=True,
                        verbose_name="retired at",
                    ),
                ),
            ],
            options={
                "verbose_name": "badge definition",
                "verbose_name_plural": "badge definitions",
                "ordering": ("position", "code"),
            },
        ),
        migrations.CreateModel(
            name="Badge",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "awarded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        null=True,
                        verbose_name="awarded at",
                    ),
                ),
                ("evidence", models.JSONField(blank=True, editable=False, null=True, verbose_name="evidence")),
                (
                    "definition",
                    badges.fields.DefinitionField(
                        db_column="code",
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.PROTECT,
                        related_name="badges",
                        to="badges.badgedefinition",
                        verbose_name="badge",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="badges",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "badge",
                "verbose_name_plural": "badges",
                "constraints": [
                    models.UniqueConstraint(
                        models.F("user"),
                        django.db.models.functions.comparison.Collate("definition", "C"),
                        name="badges_badge_user_code",
                    ),
                ],
                "indexes": [models.Index(fields=["definition"], name="badges_badge_code")],
            },
        ),
        migrations.CreateModel(
            name="PendingCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket", models.IntegerField(verbose_name="bucket")),
                ("code", models.CharField(max_length=100, verbose_name="code")),
                ("evidence", models.JSONField(verbose_name="evidence")),
                (
                    "noted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="noted at"),
                ),
                (
                    "noted_by",
                    models.TextField(
                        db_default=django.db.models.functions.comparison.Cast(
                            models.Func(function="pg_current_xact_id", output_field=models.TextField()),
                            models.TextField(),
                        ),
                        help_text="The transaction that left the check.",
                        verbose_name="noted by",
                    ),
                ),
                ("failed_at", models.DateTimeField(blank=True, null=True, verbose_name="failed at")),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "pending check",
                "verbose_name_plural": "pending checks",
                "indexes": [models.Index(fields=["bucket"], name="badges_pendingcheck_bucket")],
            },
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("code", models.CharField(max_length=100, verbose_name="code")),
                ("sqlstate", models.CharField(max_length=5, verbose_name="SQLSTATE")),
                ("message", models.TextField(verbose_name="message")),
                ("occurrences", models.IntegerField(db_default=1, verbose_name="occurrences")),
                (
                    "first_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="first at"),
                ),
                (
                    "last_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="last at"),
                ),
            ],
            options={
                "verbose_name": "failure",
                "verbose_name_plural": "failures",
                "indexes": [models.Index(fields=["code", "sqlstate"], name="badges_failure_code")],
            },
        ),
        migrations.RunSQL(RESTORE_BADGES_OF_0_1, KEEP_BADGES_OF_1_0),
        migrations.RunPython(add_foreign_keys, migrations.RunPython.noop),
        migrations.AlterModelOptions(
            name="badgedefinition",
            options={
                "managed": False,
                "ordering": ("position", "code"),
                "verbose_name": "badge definition",
                "verbose_name_plural": "badge definitions",
            },
        ),
    ]
