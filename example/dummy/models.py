from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Sketch(models.Model):
    """A sketch by a user. Defaults are in the database, so that plain SQL can omit these columns as well."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sketches", verbose_name=_("user"))
    title = models.CharField(_("title"), max_length=200)
    hit_views = models.IntegerField(_("views"), default=0, db_default=0)
    created = models.DateTimeField(_("drawn at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("sketch")
        verbose_name_plural = _("sketches")

    def __str__(self) -> str:
        return self.title


class Like(models.Model):
    """A user likes a sketch. The artist is a column here as well, because the changed row names the user of a badge."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="likes", verbose_name=_("user"))
    sketch = models.ForeignKey(Sketch, models.CASCADE, related_name="likes", verbose_name=_("sketch"))
    artist = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="likes_got", verbose_name=_("artist")
    )

    class Meta:
        verbose_name = _("like")
        verbose_name_plural = _("likes")
        constraints = (models.UniqueConstraint("user", "sketch", name="dummy_like_once"),)

    def __str__(self) -> str:
        return f"{self.user_id} ♥ {self.sketch_id}"
