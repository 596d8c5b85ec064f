"""The foreign keys of badges and events follow a user whose key changes."""

from django.conf import settings
from django.db import migrations

REPLACE = """
ALTER TABLE {table}
    DROP CONSTRAINT IF EXISTS {table}_user_id_fk,
    ADD CONSTRAINT {table}_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE {on_update}
        DEFERRABLE INITIALLY IMMEDIATE
"""


def replace(on_update):
    def run(apps, schema_editor):
        users = apps.get_model(settings.AUTH_USER_MODEL)._meta
        quote = schema_editor.quote_name
        for table in ("badges_badge", "badges_badgeevent"):
            schema_editor.execute(
                REPLACE.format(
                    table=table, users=quote(users.db_table), key=quote(users.pk.column), on_update=on_update
                )
            )

    return run


class Migration(migrations.Migration):
    dependencies = [("badges", "0002_definitions"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [migrations.RunPython(replace("ON UPDATE CASCADE"), replace(""))]
