"""The OpenAPI document is sound, and the running API answers as it says."""

from __future__ import annotations

import base64

import pytest
import schemathesis
from conftest import entry
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from dummy.models import Sketch
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from openapi_spec_validator import validate
from rest_framework.test import APIClient
from schemathesis import GenerationMode

OPERATIONS = ("badges_list", "badges_badge", "badges_holders", "badges_mine", "badges_recent", "badges_user")


@pytest.fixture
def site(committed, settings, caplog):
    """A site where ada holds each badge that there is, a secret one too."""
    settings.ALLOWED_HOSTS = ["localhost", "testserver"]
    caplog.set_level("CRITICAL", "django.request")  # each rejection is logged, and many are wanted
    goal = entry("goal", progress="count(id) from dummy_sketch where user_id = NEW.user_id", goal=1)
    del goal["condition"]
    secret = entry("secret", condition="true", secret=True)
    committed(goal, secret, entry("each", condition="true", per="id", expires_after="1 day"))
    ada = User.objects.create_user("ada", password="ada")
    Sketch.objects.create(user=ada, title="x")
    return ada


def test_document():
    """It is made without a warning, is valid OpenAPI, and has the six operations."""
    GENERATOR_STATS.reset()
    document = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS
    validate(document)
    operations = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert operations == set(OPERATIONS) | {"schema_retrieve"}


def statuses(operation, mode, headers, there, most):
    """Ask for many examples, each of which must conform; what the answers were."""
    found = set()

    @examples(
        max_examples=most,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_there=st.booleans())
    def conforms(case, is_there):
        if is_there and mode is GenerationMode.POSITIVE:
            case.path_parameters.update({name: there[name] for name in case.path_parameters})
            case.query.pop("page", None)
        # To Django REST framework that is the first page.
        assume(case.query.get("page", 1) not in ("", [], [""], {}))
        found.add(case.call_and_validate(headers=headers).status_code)

    conforms()
    return found


@pytest.mark.parametrize("caller", ["ada", "nobody"])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["sound", "unsound"])
@pytest.mark.parametrize("most", [8, pytest.param(25, marks=pytest.mark.long)])
def test_running_api(site, caller, mode, most):
    """It answers valid requests, and rejects invalid ones, as the document says."""
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application())
    schema.config.generation.update(allow_x00=False)  # no text in PostgreSQL has it
    headers = {"Authorization": f"Basic {base64.b64encode(b'ada:ada').decode()}"} if caller == "ada" else {}
    there = {"code": "secret", "key": site.pk}
    operations = {each: schema.find_operation_by_id(each) for each in OPERATIONS}
    if mode is GenerationMode.NEGATIVE:
        # Any text is sound in an address.
        operations = {each: operation for each, operation in operations.items() if operation.query}
    found = {each: statuses(operation, mode, headers, there, most) for each, operation in operations.items()}
    if mode is GenerationMode.POSITIVE:
        answering = {each for each, answers in found.items() if 200 in answers}
        assert answering == (set(OPERATIONS) if caller == "ada" else {"badges_list"})


def test_text_that_postgresql_cannot_hold(site):
    """A code, a key or a parameter with a null character is rejected, and breaks nothing."""
    client = APIClient()
    client.force_authenticate(site)
    for path in ("badge/%00/", "holders/%00/", "users/%00/", "users/99999999999999999999/"):
        assert client.get(f"/api/badges/{path}").status_code == 404
    for query in ("category=%00", "code=%00", "code=a&code=%00", "held=%00"):
        assert client.get(f"/api/badges/?{query}").status_code == 400
