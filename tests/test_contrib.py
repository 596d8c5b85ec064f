"""The receivers of the package: the email, and the signed POST to another server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import io
import json
import socket
import threading
import time
from datetime import UTC, datetime

import django
import pytest
import standardwebhooks
from conftest import entry
from django.core import mail
from django.core.management import CommandError, call_command

from badges.contrib import email
from badges.contrib.webhook import Webhook
from badges.models import Badge, BadgeDefinition, BadgeEvent, Delivery
from badges.signals import badge_awarded, badge_revoked

pytestmark = pytest.mark.django_db(transaction=True)

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]


@pytest.fixture(autouse=True)
def badges_by_hand(committed, settings):
    settings.BADGES_SIGNALS = True
    settings.TEMPLATES = TEMPLATES
    committed(entry("first", name='"Q" & A', description="For\nasking.", condition="false"))


@pytest.fixture
def ada(user):
    user.email = "ada@example.com"
    user.save()
    return user


def drain():
    output = io.StringIO()
    try:
        call_command("listen_badges", "--once", stdout=output)
    except CommandError as error:
        return f"{error}\n"
    return output.getvalue()


# Mail


@pytest.fixture
def mails():
    badge_awarded.connect(email.congratulate)
    yield mail.outbox
    badge_awarded.disconnect(email.congratulate)


def test_mail(ada, mails):
    """An award sends a mail in plain text with the badge's name and description; a revocation sends none."""
    Badge.objects.award(ada, "first")
    Badge.objects.revoke(ada, "first")
    drain()
    [sent] = mails
    assert (sent.subject, sent.to) == ('New badge: "Q" & A', ["ada@example.com"])
    assert sent.body == 'Hello ada,\n\nyou have earned the badge ""Q" & A".\n\nFor\nasking.\n\n'


def test_mail_in_the_language_of_the_site(settings, ada, mails):
    """The name is that of the language that is active where the listener runs."""
    settings.LANGUAGE_CODE = "de"
    BadgeDefinition.objects.update(translations={"de": {"name": "Erste"}})
    Badge.objects.award(ada, "first")
    drain()
    assert mails[0].subject.endswith(": Erste")


def test_no_address(ada, mails):
    """A user without an address is sent nothing, and the event leaves the queue."""
    ada.email = ""
    ada.save()
    Badge.objects.award(ada, "first")
    assert drain() == "1 event sent.\n"
    assert mails == []


def test_mail_server_is_gone(settings, ada, mails):
    """A mail that cannot be sent stays in the queue."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host, port = closed.getsockname()
        backend = "django.core.mail.backends.smtp.EmailBackend"
        if django.VERSION >= (6, 1):
            settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": {"host": host, "port": port}}}
        else:
            settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = backend, host, port
        Badge.objects.award(ada, "first")
        drain()
    assert "ConnectionRefusedError" in Delivery.objects.get().error


# Webhooks


@pytest.fixture
def endpoint():
    """A server that keeps what is posted, and responds with a given status after a given pause."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.posted.append((self.headers, body))
            time.sleep(server.pause)
            self.send_response(server.status)
            self.send_header("Location", server.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.posted, server.status, server.pause = [], 200, 0
    server.url = f"http://127.0.0.1:{server.server_port}/badges"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hook(endpoint):
    made = Webhook(endpoint.url, secret="whsec_" + base64.b64encode(b"secret").decode(), timeout=60)
    made.connect()
    yield made
    for each in (badge_awarded, badge_revoked):
        each.disconnect(made, dispatch_uid=f"badges.contrib.webhook {made.url}")


def test_webhook(ada, endpoint, hook):
    """An award and a revocation are posted as JSON, signed so that a receiver with the secret can verify them."""
    Badge.objects.award(ada, "first", by="support")
    Badge.objects.revoke(ada, "first")
    assert drain() == "2 events sent.\n"
    assert [json.loads(body)["type"] for _, body in endpoint.posted] == ["badge.awarded", "badge.revoked"]
    headers, body = endpoint.posted[0]
    data = json.loads(body)["data"]
    assert (data["user"], data["username"], data["code"], data["cause"]) == (ada.pk, "ada", "first", "by hand")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"secret", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


@pytest.mark.parametrize(
    ("status", "pause", "error"), [(500, 0, "HTTP Error 500"), (302, 0, "HTTP Error 302"), (200, 1, "timed out")]
)
def test_webhook_is_retried(ada, endpoint, hook, status, pause, error):
    """An error, a redirection and silence leave the event in the queue; the next attempt has the same id."""
    endpoint.status, endpoint.pause = status, pause
    if pause:
        object.__setattr__(hook, "timeout", 0.5)
    Badge.objects.award(ada, "first")
    assert drain() == "0 events sent, 1 attempt failed.\n"
    assert error in Delivery.objects.get().error
    assert "secret" not in Delivery.objects.get().error
    endpoint.status, endpoint.pause = 204, 0
    object.__setattr__(hook, "timeout", 60)
    call_command("listen_badges", "--retry", stdout=io.StringIO())
    Delivery.objects.update(next_at="2020-01-01T00:00:00Z")
    assert drain() == "1 event sent.\n"
    first, second = (headers["webhook-id"] for headers, _ in endpoint.posted)
    assert first == second


@pytest.mark.parametrize("key", [b"secret", bytes(range(32)), b"\xfb\xff" * 12])
@pytest.mark.parametrize("padding", ["=", ""], ids=["padded", "unpadded"])
def test_webhook_and_the_library_of_the_standard(ada, endpoint, key, padding):
    """The public library verifies what is posted with the same secret, and nothing with another one."""
    text = base64.b64encode(key).decode()
    secret = "whsec_" + (text if padding else text.rstrip("="))
    hook = Webhook(endpoint.url, secret, timeout=60)
    event = BadgeEvent(user=ada, code="first", kind="awarded", at=datetime.now(UTC))
    hook(event, ada, None)
    [(headers, body)] = endpoint.posted
    assert standardwebhooks.Webhook(secret).verify(body, dict(headers))["type"] == "badge.awarded"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(base64.b64encode(b"other").decode()).verify(body, dict(headers))


SECRETS = [None, "", " ", "whsec_",
           "whsec_=", "whsec_====", "whsec_!!!!", "whsec_ ", " whsec_c2VjcmV0", "whsec_c2VjcmV0\n",
           "whsec_c2Vj cmV0", "whsec_c2Vj-_V0", "whsec_c2VjcmV0x", "whsec_\u00e4", "secret\n"]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [("ftp://example.com", "x"), *(("https://example.com", each) for each in SECRETS)]
)
def test_webhook_that_cannot_work(arguments):
    """An invalid URL, and a secret that would sign with no key or another one than meant, are rejected at once."""
    with pytest.raises(ValueError, match=r"secret|URL") as caught:
        Webhook(*arguments)
    assert "c2Vj" not in str(caught.value)
