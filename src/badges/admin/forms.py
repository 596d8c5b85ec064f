"""Forms for manual awards and revocations."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from badges.models import Badge


def reason_field() -> forms.CharField:
    return forms.CharField(
        label=_("Reason"),
        help_text=_("The history keeps it, with your name."),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
    )


class UserField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A user by key or by username; the key has precedence, as the lookup window gives it."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except ValidationError:
            users = get_user_model()
            try:
                return self.queryset.get(**{users.USERNAME_FIELD: value})  # type: ignore[union-attr]
            except (ValueError, TypeError, ValidationError, users.DoesNotExist):
                message = _("There is no user with this key or %(username)s.")
                label = users._meta.get_field(users.USERNAME_FIELD).verbose_name  # type: ignore[union-attr]
                raise ValidationError(message, code="invalid_choice", params={"username": label}) from None


class AwardForm(forms.ModelForm):  # type: ignore[type-arg]
    """A manual award: user, badge, subject and reason. It does not save: `Badge.objects.award` does."""

    reason = reason_field()

    class Meta:
        model = Badge
        fields = ("user", "definition", "thing")
        widgets = {"thing": forms.TextInput(attrs={"size": 40})}  # noqa: RUF012
        help_texts = {"thing": _("For badges that are awarded per subject: the key of the subject.")}  # noqa: RUF012

    def clean(self) -> dict[str, Any]:
        # Without Django's validation of the constraint, whose message would be its name.
        data: dict[str, Any] = self.cleaned_data
        user, definition, thing = data.get("user"), data.get("definition"), data.get("thing", "")
        if definition is None or user is None:
            return data
        if definition.per and not thing:
            self.add_error(
                "thing", _("This badge is awarded once for each %(per)s: enter its key.") % {"per": definition.per}
            )
        elif thing and not definition.per:
            self.add_error("thing", _("This badge has no subject: leave this empty."))
        elif Badge.objects.filter(user=user, code=definition.code, thing=thing).exists():
            self.add_error(None, _("%(user)s holds this badge already.") % {"user": user})
        return data


class ReasonForm(forms.Form):
    """The reason for a revocation."""

    reason = reason_field()
