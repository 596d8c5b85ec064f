"""Pending checks that transactions share instead of repeating; foreign keys that follow a user whose key changes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import badges.fields

FOREIGN_KEY = """
ALTER TABLE {table}
    DROP CONSTRAINT IF EXISTS {table}_user_id_fk,
    ADD CONSTRAINT {table}_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE {on_update}
        DEFERRABLE INITIALLY IMMEDIATE
"""

# Checks are added and deleted all the time: their number says nothing about how many dead rows there are.
VACUUM = "ALTER TABLE badges_pendingcheck SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
USUAL_VACUUM = "ALTER TABLE badges_pendingcheck RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"

# Several checks of one transaction could be alike until now.
TELL_APART = "UPDATE badges_pendingcheck SET what = id::text"


def replace_foreign_keys(on_update):
    def run(apps, schema_editor):
        users = apps.get_model(settings.AUTH_USER_MODEL)._meta
        quote = schema_editor.quote_name
        for table in ("badges_badge", "badges_badgeevent"):
            schema_editor.execute(
                FOREIGN_KEY.format(
                    table=table, users=quote(users.db_table), key=quote(users.pk.column), on_update=on_update
                )
            )

    return run


class Migration(migrations.Migration):
    dependencies = [("badges", "0002_definitions"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.RunPython(replace_foreign_keys("ON UPDATE CASCADE"), replace_foreign_keys("")),
        migrations.RemoveIndex("pendingcheck", "badges_pendingcheck_bucket"),
        migrations.RemoveField("pendingcheck", "noted_by"),
        migrations.AddField(
            "pendingcheck",
            "noted_by",
            models.BigIntegerField(
                db_default=badges.fields.CurrentTransaction(),
                help_text="Transaction that left the check.",
                verbose_name="noted by",
            ),
        ),
        migrations.AddField(
            "pendingcheck",
            "what",
            models.TextField(
                db_collation="C",
                db_default="",
                default="",
                help_text="Digest of the changed row; checks that agree in it are decided by one evaluation.",
                verbose_name="what",
            ),
        ),
        migrations.AlterField(
            "pendingcheck",
            "user",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
        migrations.RunSQL(TELL_APART, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "pendingcheck",
            models.UniqueConstraint(
                fields=["user", "code", "thing", "what", "noted_by"], name="badges_pendingcheck_key"
            ),
        ),
        migrations.AddIndex(
            "pendingcheck",
            models.Index(
                fields=["bucket", "noted_by"], condition=models.Q(failed_at=None), name="badges_pendingcheck_bucket"
            ),
        ),
        migrations.AddIndex(
            "pendingcheck",
            models.Index(fields=["bucket"], condition=~models.Q(failed_at=None), name="badges_pendingcheck_failed"),
        ),
        migrations.RunSQL(VACUUM, USUAL_VACUUM),
    ]
