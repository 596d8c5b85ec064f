"""The former keys of users, by which pending checks find a user whose key has changed."""

from django.db import migrations

MAKE = """
CREATE TABLE badges_formerkey (
    former_key text COLLATE "C" NOT NULL,
    user_key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    noted_by bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    known_before bigint
);
COMMENT ON COLUMN badges_formerkey.known_before IS
    'No transaction from this one on knows the former key; NULL until badges_follow() has determined it.';
CREATE INDEX badges_formerkey_former_key ON badges_formerkey (former_key);
"""


class Migration(migrations.Migration):
    dependencies = [("badges", "0005_secret")]
    operations = [migrations.RunSQL(MAKE, "DROP TABLE badges_formerkey")]
