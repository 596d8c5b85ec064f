"""From the table of 0.1 to the tables of 1.0; users keep their badges.

It has the name of the first of the migrations that made the same tables during the development of 1.0, so that a
database with all of them applied counts as migrated.
"""

import django.contrib.postgres.functions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import badges.fields
from badges.conf import related_name
from badges.exceptions import UnsupportedDatabase

# The triggers of 0.1 write the column "name", which no longer exists: with them, writes to their tables would fail.
DROP_TRIGGERS_OF_0_1 = r"""
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS relation, p.oid::regprocedure AS function
        FROM pg_catalog.pg_proc p
        LEFT JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal
        WHERE p.proname ILIKE 'badge\_%' AND p.prorettype = 'trigger'::regtype
          AND p.prosrc ~ 'INSERT INTO badges_badge \(user_id, name, code\)'
    LOOP
        IF old.tgname IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.relation);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgfoid = old.function::oid) THEN
            EXECUTE format('DROP FUNCTION %s', old.function);
        END IF;
    END LOOP;
END
$$
"""

# The triggers of 1.0 write columns that 0.1 does not have.
DROP_TRIGGERS_OF_1_0 = r"""
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT t.tgname, t.tgrelid::regclass AS relation
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0
        WHERE p.proname LIKE 'badges\_%'
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'Made by django-pg-badges; ')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', old.tgname, old.relation);
    END LOOP;
    FOR old IN
        SELECT p.oid::regprocedure AS function
        FROM pg_catalog.pg_proc p
        WHERE p.proname LIKE 'badges\_%'
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'Made by django-pg-badges; ')
    LOOP
        EXECUTE format('DROP FUNCTION %s', old.function);
    END LOOP;
END
$$
"""

# The definitions are made from the existing badges, as retired: `create_badge_triggers` restores those that the badge
# file still declares.
KEEP_BADGES_OF_0_1 = """
CREATE TEMPORARY TABLE badges_of_0_1 ON COMMIT DROP AS
SELECT id, user_id, code, name FROM badges_badge
"""

RESTORE_BADGES_OF_0_1 = [
    """
    INSERT INTO badges_badgedefinition
        (code, name, description, category, image, points, position, secret, condition, trigger_condition,
         trigger_table, user_field, retired_at, translations, progress, triggers, per, revocable, active, expires_after,
         rule)
    SELECT DISTINCT ON (code)
        code, name, '', '', '', 0, 0, false, '', '[]'::jsonb,
        '', '', statement_timestamp(), '{}'::jsonb, '', '[]'::jsonb, '', false, true, '',
        ''
    FROM badges_of_0_1
    ORDER BY code, id DESC
    """,
    # In 0.1 user and name were unique, not user and code, and the time of an award was not recorded.
    """
    INSERT INTO badges_badge (user_id, code, awarded_at)
    SELECT DISTINCT user_id, code, NULL::timestamptz
    FROM badges_of_0_1
    """,
    "DROP TABLE badges_of_0_1",
]

# Back to 0.1: there a user holds a name once, and no badge expires. Several badges of one user may share a name: badges
# of several subjects, or two codes that were given the same name.
KEEP_BADGES_OF_1_0 = """
CREATE TEMPORARY TABLE badges_of_1_0 ON COMMIT DROP AS
SELECT DISTINCT ON (b.user_id, d.name) b.user_id, b.code, d.name
FROM badges_badge b JOIN badges_badgedefinition d USING (code)
WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp()
ORDER BY b.user_id, d.name, b.awarded_at
"""

RESTORE_BADGES_OF_1_0 = [
    "INSERT INTO badges_badge (user_id, code, name) SELECT user_id, code, name FROM badges_of_1_0",
    "DROP TABLE badges_of_1_0",
]

# Checked at once, so that the concurrent deletion of a user makes the award fail and not the COMMIT of the write.
# Those of users are deferrable, as loaddata may insert a badge or an event before its user, and follow a user whose key
# changes.
FOREIGN_KEYS = [
    """
    ALTER TABLE badges_badge
        ADD CONSTRAINT badges_badge_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE
            ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE,
        ADD CONSTRAINT badges_badge_code_fk FOREIGN KEY (code) REFERENCES badges_badgedefinition (code)
    """,
    """
    ALTER TABLE badges_badgeevent
        ADD CONSTRAINT badges_badgeevent_user_id_fk FOREIGN KEY (user_id) REFERENCES {users} ({key}) ON DELETE CASCADE
            ON UPDATE CASCADE DEFERRABLE INITIALLY IMMEDIATE
    """,
]

# Checks are added and deleted all the time: their number says nothing about how many dead rows there are.
VACUUM = "ALTER TABLE badges_pendingcheck SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"

# Known only to the owner of the badges: what the functions remember in a transaction is signed with it.
MAKE_SIGNING_KEY = """
CREATE TABLE badges_secret (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    secret text NOT NULL DEFAULT gen_random_uuid()::text || gen_random_uuid()::text
);
-- Default privileges may have given other roles the right to read it.
DO $$
DECLARE
    other text;
BEGIN
    FOR other IN
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
        FROM pg_class AS c
        CROSS JOIN aclexplode(c.relacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = 'badges_secret'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'REVOKE ALL ON badges_secret FROM ' || other;
    END LOOP;
END
$$;
INSERT INTO badges_secret DEFAULT VALUES
"""

# The former keys of users, by which pending checks find a user whose key has changed.
MAKE_FORMER_KEYS = """
CREATE TABLE badges_formerkey (
    former_key text COLLATE "C" NOT NULL,
    user_key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    noted_by bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    known_before bigint
);
COMMENT ON COLUMN badges_formerkey.known_before IS
    'No transaction from this one on knows the former key; NULL until badges_follow() has determined it.';
CREATE INDEX badges_formerkey_former_key ON badges_formerkey (former_key)
"""

# Evaluations that took longer than BADGES_BUDGET: three of them defer a badge.
MAKE_OVERRUNS = """
CREATE TABLE badges_overrun (
    codes text[] NOT NULL,
    milliseconds double precision,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN badges_overrun.codes IS 'The badges that were evaluated together.';
COMMENT ON COLUMN badges_overrun.milliseconds IS 'How long that took; NULL if badges_defer() has added the row.'
"""

DEFINITION_OPTIONS = {
    "verbose_name": "badge definition",
    "verbose_name_plural": "badge definitions",
    "ordering": ("position", "goal", "code"),
}


def require_postgresql(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        raise UnsupportedDatabase(
            f'The database "{schema_editor.connection.alias}" is not PostgreSQL. Keep the app "badges" away from it '
            "with a database router (allow_migrate)."
        )


def add_foreign_keys(apps, schema_editor):
    users = apps.get_model(settings.AUTH_USER_MODEL)._meta
    quote = schema_editor.quote_name
    for statement in FOREIGN_KEYS:
        schema_editor.execute(statement.format(users=quote(users.db_table), key=quote(users.pk.column)))


class Migration(migrations.Migration):
    dependencies = [("badges", "0001_initial"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.RunPython(require_postgresql, migrations.RunPython.noop),
        migrations.RunSQL(DROP_TRIGGERS_OF_0_1, DROP_TRIGGERS_OF_1_0),
        migrations.RunSQL(KEEP_BADGES_OF_0_1, RESTORE_BADGES_OF_1_0),
        migrations.DeleteModel("Badge"),
        migrations.CreateModel(
            name="BadgeDefinition",
            fields=[
                ("code", models.CharField(max_length=100, primary_key=True, serialize=False, verbose_name="code")),
                ("name", models.TextField(verbose_name="name")),
                ("description", models.TextField(blank=True, default="", verbose_name="description")),
                ("category", models.TextField(blank=True, default="", verbose_name="category")),
                ("image", models.TextField(blank=True, default="", verbose_name="image")),
                ("points", models.IntegerField(default=0, verbose_name="points")),
                ("position", models.IntegerField(default=0, verbose_name="position")),
                ("secret", models.BooleanField(default=False, verbose_name="secret")),
                ("condition", models.TextField(blank=True, default="", verbose_name="condition")),
                ("trigger_condition", models.JSONField(default=list, verbose_name="trigger condition")),
                ("trigger_table", models.TextField(blank=True, default="", verbose_name="trigger table")),
                ("user_field", models.TextField(blank=True, default="", verbose_name="user field")),
                (
                    "retired_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When the badge was removed from the badge file.",
                        null=True,
                        verbose_name="retired at",
                    ),
                ),
                ("translations", models.JSONField(blank=True, default=dict, verbose_name="translations")),
                ("progress", models.TextField(blank=True, default="", verbose_name="progress")),
                (
                    "goal",
                    models.DecimalField(blank=True, decimal_places=10, max_digits=40, null=True, verbose_name="goal"),
                ),
                (
                    "triggers",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="Tables watched in addition to the trigger table.",
                        verbose_name="triggers",
                    ),
                ),
                ("per", models.TextField(blank=True, default="", verbose_name="per")),
                ("revocable", models.BooleanField(default=False, verbose_name="revocable")),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                ("expires_after", models.TextField(blank=True, default="", verbose_name="expires after")),
                (
                    "rule",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Version of the rule: a digest of the keys that decide the badge.",
                        verbose_name="rule",
                    ),
                ),
                ("time_zone", models.TextField(blank=True, db_default="", default="", verbose_name="time zone")),
            ],
            options=DEFINITION_OPTIONS,
        ),
        migrations.CreateModel(
            name="Badge",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "awarded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        editable=False,
                        null=True,
                        verbose_name="awarded at",
                    ),
                ),
                ("evidence", models.JSONField(blank=True, editable=False, null=True, verbose_name="evidence")),
                (
                    "definition",
                    badges.fields.DefinitionField(
                        db_column="code",
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.PROTECT,
                        related_name="badges",
                        to="badges.badgedefinition",
                        verbose_name="badge",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=badges.fields.with_the_user,
                        related_name=related_name(),
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "thing",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Key of the subject that the badge was awarded for.",
                        verbose_name="subject",
                    ),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True, verbose_name="expires at")),
                (
                    "by_hand",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="Awarded manually: the rule never revokes it.",
                        verbose_name="manual",
                    ),
                ),
            ],
            options={
                "verbose_name": "badge",
                "verbose_name_plural": "badges",
                "constraints": [
                    models.UniqueConstraint(
                        models.F("user"),
                        django.db.models.functions.comparison.Collate("definition", "C"),
                        models.F("thing"),
                        name="badges_badge_user_code",
                    ),
                ],
                "indexes": [
                    models.Index(
                        models.F("definition"),
                        models.OrderBy(models.F("awarded_at"), nulls_first=True),
                        models.OrderBy(models.F("user"), descending=True),
                        name="badges_badge_code",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PendingCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("bucket", models.IntegerField(verbose_name="bucket")),
                ("code", models.CharField(max_length=100, verbose_name="code")),
                ("evidence", models.JSONField(verbose_name="evidence")),
                (
                    "noted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="noted at"),
                ),
                ("failed_at", models.DateTimeField(blank=True, null=True, verbose_name="failed at")),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                ("thing", models.TextField(blank=True, db_default="", default="", verbose_name="subject")),
                (
                    "noted_by",
                    models.BigIntegerField(
                        db_default=badges.fields.CurrentTransaction(),
                        help_text="Transaction that left the check.",
                        verbose_name="noted by",
                    ),
                ),
                (
                    "what",
                    models.TextField(
                        db_collation="C",
                        db_default="",
                        default="",
                        help_text="Digest of the changed row; checks that agree in it are decided by one evaluation.",
                        verbose_name="what",
                    ),
                ),
            ],
            options={
                "verbose_name": "pending check",
                "verbose_name_plural": "pending checks",
                "constraints": [
                    models.UniqueConstraint(
                        fields=["user", "code", "thing", "what", "noted_by"], name="badges_pendingcheck_key"
                    ),
                ],
                "indexes": [
                    models.Index(
                        fields=["bucket", "noted_by"],
                        condition=models.Q(failed_at=None),
                        name="badges_pendingcheck_bucket",
                    ),
                    models.Index(
                        fields=["bucket"], condition=~models.Q(failed_at=None), name="badges_pendingcheck_failed"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("code", models.CharField(max_length=100, verbose_name="code")),
                ("sqlstate", models.CharField(max_length=5, verbose_name="SQLSTATE")),
                ("message", models.TextField(verbose_name="message")),
                ("occurrences", models.IntegerField(db_default=1, verbose_name="occurrences")),
                (
                    "first_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="first at"),
                ),
                (
                    "last_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="last at"),
                ),
                ("tenant", models.TextField(blank=True, db_default="", default="", verbose_name="tenant")),
            ],
            options={
                "verbose_name": "failure",
                "verbose_name_plural": "failures",
                "indexes": [models.Index(fields=["code", "sqlstate"], name="badges_failure_code")],
            },
        ),
        migrations.CreateModel(
            name="BadgeEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "thing",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Subject of a badge that is awarded once per subject.",
                        verbose_name="subject",
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[("awarded", "awarded"), ("revoked", "revoked"), ("expired", "expired")],
                        verbose_name="kind",
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField()),
                        help_text="Empty for badges awarded by version 0.1, which did not record it.",
                        null=True,
                        verbose_name="at",
                    ),
                ),
                (
                    "cause",
                    models.TextField(
                        help_text="A write to a table, a command, or a manual award or revocation.",
                        verbose_name="cause",
                    ),
                ),
                ("evidence", models.JSONField(blank=True, null=True, verbose_name="evidence")),
                (
                    "rule",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Version of the rule at that time.",
                        verbose_name="rule",
                    ),
                ),
                (
                    "actor",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Author of a manual award or revocation.",
                        verbose_name="actor",
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="Reason for a manual award or revocation.",
                        verbose_name="reason",
                    ),
                ),
                (
                    "transaction",
                    models.BigIntegerField(
                        db_default=badges.fields.CurrentTransaction(),
                        help_text="Id of the writing transaction; one that commits later may have a lower id.",
                        verbose_name="transaction",
                    ),
                ),
                (
                    "definition",
                    badges.fields.DefinitionField(
                        db_column="code",
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="events",
                        to="badges.badgedefinition",
                        verbose_name="badge",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=models.deletion.DO_NOTHING,
                        related_name="badge_events",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "quiet",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="No signal is sent and no toast is shown.",
                        verbose_name="quiet",
                    ),
                ),
            ],
            options={
                "verbose_name": "badge event",
                "verbose_name_plural": "badge events",
                "indexes": [
                    models.Index(fields=["user", "at"], name="badges_badgeevent_user_at"),
                    models.Index(fields=["definition", "at"], name="badges_badgeevent_code_at"),
                    models.Index(fields=["transaction", "at"], name="badges_badgeevent_order"),
                ],
            },
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
                        help_text="Time of the event; the events of a user are sent in this order.", verbose_name="at"
                    ),
                ),
                ("attempts", models.IntegerField(db_default=0, default=0, verbose_name="attempts")),
                (
                    "next_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="Not sent before this time.",
                        verbose_name="next at",
                    ),
                ),
                (
                    "done",
                    models.JSONField(
                        db_default=[],
                        default=list,
                        help_text="Receivers that have returned.",
                        verbose_name="done",
                    ),
                ),
                ("error", models.TextField(blank=True, db_default="", default="", verbose_name="error")),
                (
                    "parked_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it was parked, after too many attempts.",
                        null=True,
                        verbose_name="parked at",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=badges.fields.from_the_queue,
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
        migrations.RunSQL(RESTORE_BADGES_OF_0_1, KEEP_BADGES_OF_1_0),
        migrations.RunPython(add_foreign_keys, migrations.RunPython.noop),
        migrations.RunSQL(VACUUM, migrations.RunSQL.noop),
        migrations.RunSQL(MAKE_SIGNING_KEY, "DROP TABLE badges_secret"),
        migrations.RunSQL(MAKE_FORMER_KEYS, "DROP TABLE badges_formerkey"),
        migrations.RunSQL(MAKE_OVERRUNS, "DROP TABLE badges_overrun"),
        # Django would not have made the table of a model that is not managed.
        migrations.AlterModelOptions(name="badgedefinition", options={**DEFINITION_OPTIONS, "managed": False}),
    ]
