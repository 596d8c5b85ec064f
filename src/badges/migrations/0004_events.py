"""The history: an event for each badge that comes or goes."""

import django.contrib.postgres.functions
from django.conf import settings
from django.db import migrations, models

import badges.fields

# As for badges: a user who is deleted takes the history along; loaddata may bring badges before their users.
FOREIGN_KEY = """
ALTER TABLE badges_badgeevent
    ADD CONSTRAINT badges_badgeevent_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE
        DEFERRABLE INITIALLY IMMEDIATE
"""

# Without their table they would keep every badge from being awarded.
DROP_TRIGGERS = """
DROP TRIGGER IF EXISTS badges_add_awarded ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_moved ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_revoked ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_truncated ON badges_badge;
"""


def add_foreign_key(apps, schema_editor):
    users = apps.get_model(settings.AUTH_USER_MODEL)._meta
    quote = schema_editor.quote_name
    schema_editor.execute(FOREIGN_KEY.format(users=quote(users.db_table), key=quote(users.pk.column)))


class Migration(migrations.Migration):
    dependencies = [
        ("badges", "0003_rules"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, DROP_TRIGGERS),
        migrations.CreateModel(
            name="BadgeEvent",
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
                    "thing",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="What the badge is for, if there is one for each.",
                        verbose_name="thing",
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[("awarded", "awarded"), ("revoked", "revoked"), ("expired", "expired")],
                        verbose_name="kind",
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField()),
                        help_text="Empty for badges that version 0.1 awarded, which did not record it.",
                        null=True,
                        verbose_name="at",
                    ),
                ),
                (
                    "cause",
                    models.TextField(
                        help_text="What did it: a write to a table, a command, somebody by hand.", verbose_name="cause"
                    ),
                ),
                ("evidence", models.JSONField(blank=True, null=True, verbose_name="evidence")),
                (
                    "rule",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Version of the rule that was in force.",
                        verbose_name="rule",
                    ),
                ),
                (
                    "actor",
                    models.TextField(
                        blank=True, db_default="", default="", help_text="Who did it by hand.", verbose_name="actor"
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        blank=True, db_default="", default="", help_text="Why, by hand.", verbose_name="reason"
                    ),
                ),
                (
                    "transaction",
                    models.BigIntegerField(
                        db_default=badges.fields.CurrentTransaction(),
                        help_text="The transaction that wrote it: those that end later may have a lower one.",
                        verbose_name="transaction",
                    ),
                ),
                (
                    "definition",
                    badges.fields.DefinitionField(
                        db_column="code",
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="events",
                        to="badges.badgedefinition",
                        verbose_name="badge",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="badge_events",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "badge event",
                "verbose_name_plural": "badge events",
                "indexes": [
                    models.Index(fields=["user", "at"], name="badges_badgeevent_user_at"),
                    models.Index(fields=["definition", "at"], name="badges_badgeevent_code_at"),
                    models.Index(fields=["transaction", "at"], name="badges_badgeevent_order"),
                ],
            },
        ),
        migrations.RunPython(add_foreign_key, migrations.RunPython.noop),
    ]
