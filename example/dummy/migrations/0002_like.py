import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (migrations.swappable_dependency(settings.AUTH_USER_MODEL), ("dummy", "0001_initial"))
    operations = (
        migrations.CreateModel(
            name="Like",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "artist",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="likes_got",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="artist",
                    ),
                ),
                (
                    "sketch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="likes",
                        to="dummy.sketch",
                        verbose_name="sketch",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="likes",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "like",
                "verbose_name_plural": "likes",
                "constraints": [models.UniqueConstraint("user", "sketch", name="dummy_like_once")],
            },
        ),
    )
