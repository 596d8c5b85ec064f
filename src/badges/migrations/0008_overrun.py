"""Evaluations that took longer than BADGES_BUDGET: three of them defer a badge."""

from django.db import migrations

MAKE = """
CREATE TABLE badges_overrun (
    codes text[] NOT NULL,
    milliseconds double precision,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN badges_overrun.codes IS 'The badges that were evaluated together.';
COMMENT ON COLUMN badges_overrun.milliseconds IS 'How long that took; NULL if badges_defer() has added the row.';
"""


class Migration(migrations.Migration):
    dependencies = [("badges", "0007_unknown_user")]
    operations = [migrations.RunSQL(MAKE, "DROP TABLE badges_overrun")]
