from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True
    dependencies = (migrations.swappable_dependency(settings.AUTH_USER_MODEL),)
    operations = (
        migrations.CreateModel(
            name="Sketch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200)),
                ("hit_views", models.IntegerField(db_default=0, default=0)),
                ("created", models.DateTimeField(db_default=Now(), editable=False)),
                (
                    "user",
                    models.ForeignKey(on_delete=models.CASCADE, related_name="sketches", to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={"verbose_name_plural": "sketches"},
        ),
    )
