"""The table in docs/triggers.md: which writes Django's signals see, and which the triggers see."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import django
import pytest
from conftest import entry
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.db.models.signals import post_delete, post_save
from django.test.utils import isolate_apps
from dummy.models import Sketch

PAGE = (Path(__file__).parent.parent / "docs" / "triggers.md").read_text("utf-8")
SEEN = {
    write: (signal == "yes", trigger == "yes")
    for write, signal, trigger in re.findall(r"^\| (.+) \| (yes|no) \| (yes|no) \|$", PAGE, re.MULTILINE)
}

pytestmark = pytest.mark.django_db


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def in_bulk(sketch: Sketch) -> None:
    sketch.title = "Another"
    Sketch.objects.bulk_update([sketch], ["title"])


#: The sender of the signals, and the write to it.
WRITES = {
    "`save()`, `create()`": (Sketch, lambda sketch: Sketch.objects.create(user=sketch.user)),
    "`bulk_create()`": (Sketch, lambda sketch: Sketch.objects.bulk_create([Sketch(user=sketch.user)])),
    "`QuerySet.update()`": (Sketch, lambda _: Sketch.objects.update(title="Another")),
    "`bulk_update()`": (Sketch, in_bulk),
    "`QuerySet.delete()`": (Sketch, lambda _: Sketch.objects.all().delete()),
    "`add()` of a many-to-many field": (
        User.groups.through, lambda sketch: sketch.user.groups.add(Group.objects.create(name="Painters")),
    ),
    "SQL: psql, COPY, another service": (Sketch, lambda _: sql("UPDATE dummy_sketch SET title = 'Another'")),
}  # fmt: skip


def on(model: type[models.Model], code: str, event: str) -> dict[str, Any]:
    return entry(f"{code}-{event}", condition="true", trigger_table=model._meta.db_table, trigger_condition=event)


@pytest.fixture
def calls(request):
    """The instances with which receivers of post_save and post_delete are called, for a given sender."""
    instances = []

    def receive(instance: Any, **_: Any) -> None:
        instances.append(instance)

    def listen(sender: type[models.Model]) -> list[Any]:
        for signal in (post_save, post_delete):
            signal.connect(receive, sender=sender)
            request.addfinalizer(lambda signal=signal: signal.disconnect(receive, sender=sender))
        return instances

    return listen


@pytest.mark.parametrize("write", WRITES)
def test_write(write, declare, user, held, calls):
    """The trigger awards for the write; signals are sent for it where the page says so."""
    sender, make = WRITES[write]
    sketch = Sketch.objects.create(user=user, title="One")
    declare(
        *(
            on(model, model._meta.model_name, event)
            for model in (Sketch, User.groups.through)
            for event in ("insert", "update", "delete")
        )
    )
    instances = calls(sender)
    make(sketch)
    assert (bool(instances), bool(held(user))) == SEEN[write]


@pytest.mark.parametrize("on_delete", ["CASCADE", "DB_CASCADE"])
@isolate_apps("dummy")
def test_cascade(on_delete, declare, user, held, calls):
    """The deletion of a parent awards and revokes by its children; signals are sent where the page says so."""
    if on_delete == "DB_CASCADE" and django.VERSION < (6, 1):
        pytest.skip("this Django has no DB_CASCADE")

    class Album(models.Model):  # noqa: DJ008
        class Meta:
            app_label = "dummy"

    class Child(models.Model):  # noqa: DJ008
        album = models.ForeignKey(Album, on_delete=getattr(models, on_delete))
        user_id = models.IntegerField()

        class Meta:
            app_label = "dummy"

    with connection.schema_editor() as editor:
        editor.create_model(Album)
        editor.create_model(Child)
    album = Album.objects.create()
    declare(
        on(Child, "child", "delete"),
        entry("owner", condition="count(*) >= 1 from dummy_child where user_id = NEW.user_id",
              trigger_table="dummy_child", revocable=True),
    )  # fmt: skip
    Child.objects.create(album=album, user_id=user.pk)
    assert held(user) == ["owner"]
    instances = calls(Child)
    album.delete()
    assert held(user) == ["child-delete"]
    [(signals, triggers)] = [seen for write, seen in SEEN.items() if f"`on_delete={on_delete}`" in write]
    assert (bool(instances), True) == (signals, triggers)


def test_all_rows_of_the_page():
    """Each write in the table of the page is performed."""
    cascades = {write for write in SEEN if write.startswith("deletion of the parent")}
    assert set(SEEN) - cascades == set(WRITES)
    assert len(cascades) == 2
