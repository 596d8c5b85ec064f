"""What signals need: the events that are still to be sent, and those that are told to nobody."""

import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# What they call writes the column, and would keep every badge from being awarded until it is made anew.
DROP_TRIGGERS = """
DROP TRIGGER IF EXISTS badges_add_awarded ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_moved ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_revoked ON badges_badge;
DROP TRIGGER IF EXISTS badges_add_truncated ON badges_badge;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("badges", "0004_events"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, DROP_TRIGGERS),
        migrations.AddField(
            model_name="badgeevent",
            name="quiet",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Told to nobody: no signal is sent, no toast shown.",
                verbose_name="quiet",
            ),
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="badges.badgeevent",
                        verbose_name="event",
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        help_text="That of the event: what comes first for its user is sent first.", verbose_name="at"
                    ),
                ),
                ("attempts", models.IntegerField(db_default=0, default=0, verbose_name="attempts")),
                (
                    "next_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="It is not tried before.",
                        verbose_name="next at",
                    ),
                ),
                (
                    "done",
                    models.JSONField(
                        db_default=[],
                        default=list,
                        help_text="The receivers that have returned already.",
                        verbose_name="done",
                    ),
                ),
                ("error", models.TextField(blank=True, db_default="", default="", verbose_name="error")),
                (
                    "parked_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it was put aside, after too many attempts.",
                        null=True,
                        verbose_name="parked at",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "indexes": [
                    models.Index(
                        condition=models.Q(("parked_at", None)),
                        fields=["user", "at", "event"],
                        name="badges_delivery_of_user",
                    ),
                    models.Index(
                        condition=models.Q(("parked_at", None)), fields=["at", "event"], name="badges_delivery_order"
                    ),
                    models.Index(
                        condition=models.Q(("parked_at", None), _negated=True),
                        fields=["parked_at"],
                        name="badges_delivery_parked",
                    ),
                ],
            },
        ),
    ]
