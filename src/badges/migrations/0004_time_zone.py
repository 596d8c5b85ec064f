"""The time zone in which the condition of a badge reads days and hours."""

from django.db import migrations, models

OPTIONS = {
    "verbose_name": "badge definition",
    "verbose_name_plural": "badge definitions",
    "ordering": ("position", "goal", "code"),
}


class Migration(migrations.Migration):
    dependencies = [("badges", "0003_shared_checks")]
    operations = [
        # Django would not add the column of a model that is not managed.
        migrations.AlterModelOptions(name="badgedefinition", options=OPTIONS),
        migrations.AddField(
            "badgedefinition",
            "time_zone",
            models.TextField(blank=True, db_default="", default="", verbose_name="time zone"),
        ),
        migrations.AlterModelOptions(name="badgedefinition", options={**OPTIONS, "managed": False}),
    ]
