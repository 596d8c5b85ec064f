"""An email for each award.

    from badges.contrib import email
    badge_awarded.connect(email.congratulate)

The texts are the templates `badges/email/subject.txt` and `badges/email/body.txt`, which a site may override.
"""

from __future__ import annotations

from typing import Any

from django.core.mail import send_mail
from django.template.loader import render_to_string

from badges.models import BadgeDefinition, BadgeEvent


def congratulate(event: BadgeEvent, user: Any, definition: BadgeDefinition | None, **kwargs: Any) -> None:
    """Send the user an email from DEFAULT_FROM_EMAIL, unless the user has no address.

    :raises OSError: the mail server does not accept it, so that the event is tried again.
    """
    address = getattr(user, user.get_email_field_name(), "")
    if not address or definition is None:
        return
    context = {"event": event, "user": user, "badge": definition}
    subject = " ".join(render_to_string("badges/email/subject.txt", context).split())
    send_mail(subject, render_to_string("badges/email/body.txt", context), None, [address])
