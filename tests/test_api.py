import pytest
from conftest import entry
from dummy.models import Sketch
from rest_framework.test import APIClient

pytestmark = [pytest.mark.django_db]


def test_x(declare, user):
    goal = entry("goal", progress="count(id) from dummy_sketch where user_id = NEW.user_id", goal=5)
    del goal["condition"]
    declare(
        entry("first", condition="true"),
        goal,
        entry("secret", condition="true", secret=True),
        entry("each", condition="true", per="id"),
    )
    for _ in range(2):
        Sketch.objects.create(user=user, title="x")
    client = APIClient()
    for path in ("", "badge/first/", "badge/secret/", "holders/first/", "mine/", "recent/", f"users/{user.pk}/"):
        r = client.get(f"/api/badges/{path}")
        print(path, r.status_code, r.content.decode(), r.headers)
    client.force_authenticate(user)
    for path in ("", "badge/first/", "badge/secret/", "holders/first/", "mine/", "recent/", f"users/{user.pk}/"):
        r = client.get(f"/api/badges/{path}")
        print(path, r.status_code, r.content.decode())
    assert 0
