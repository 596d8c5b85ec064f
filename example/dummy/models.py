from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Sketch(models.Model):
    """A sketch by a user. Defaults are in the database, so that plain SQL can omit these columns as well."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sketches")
    title = models.CharField(max_length=200)
    hit_views = models.IntegerField(default=0, db_default=0)
    created = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "sketches"

    def __str__(self) -> str:
        return self.title


class Like(models.Model):
    """A user likes a sketch. The artist is a column here as well, because the changed row names the user of a badge."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="likes")
    sketch = models.ForeignKey(Sketch, on_delete=models.CASCADE, related_name="likes")
    artist = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="likes_got")

    class Meta:
        constraints = (models.UniqueConstraint("user", "sketch", name="dummy_like_once"),)

    def __str__(self) -> str:
        return f"{self.user_id} likes {self.sketch_id}"
