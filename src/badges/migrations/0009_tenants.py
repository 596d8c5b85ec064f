"""Failures of a tenant: a schema with its own tables that shares the table of badges with others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("badges", "0008_overrun")]
    operations = [
        migrations.AddField(
            model_name="failure",
            name="tenant",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="tenant"),
        ),
    ]
