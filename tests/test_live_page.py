"""What a page includes for live badges: for whom, with which addresses, under a strict policy; its script runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.template.loader import render_to_string
from django.test import RequestFactory

import badges

STATIC = Path(badges.__file__).parent / "static" / "badges"


@pytest.fixture
def page(settings):
    """The include as a page of this user has it."""
    settings.STATIC_URL = "/static/"
    settings.ROOT_URLCONF = "sites.listening.urls"
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ]

    def render(user):
        request = RequestFactory().get("/")
        request.user = user
        return render_to_string("badges/live.html", request=request).strip()

    return render


def test_for_a_user(page):
    """A user who is logged in gets an element that screen readers follow, and the addresses of stream and polling."""
    html = page(User(pk=7, username="ada"))
    assert 'role="status" aria-live="polite"' in html
    assert 'data-badges-live="/badges/live/" data-badges-recent="/badges/live/recent/" data-badges-user="7"' in html
    for name in re.findall(r'"/static/badges/([\w.]+)"', html):
        assert (STATIC / name).is_file()


def test_strict_policy(page):
    """Nothing is inline: no script, no style, no handler; nor does the script write HTML, or evaluate."""
    html = page(User(pk=7, username="ada"))
    assert re.findall(r"<script[^>]*></script>", html)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", html)
    script = (STATIC / "live.js").read_text("utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|new Function|\.style\b|document\.write", script
    )


def test_for_nobody(page, settings):
    """Who is not logged in gets nothing, and a site without the addresses gets no error."""
    assert page(AnonymousUser()) == ""
    settings.ROOT_URLCONF = "sites.nowhere"
    assert page(User(pk=7)) == ""


# A page as small as the script needs it: it has no browser, and says what it would have shown.
BROWSER = """
const made = [];
class Node_ {
  constructor(name) { this.name = name; this.dataset = {}; this.children = []; this.handlers = {}; made.push(this); }
  append(...nodes) { this.children.push(...nodes); }
  remove() { this.gone = true; }
  setAttribute() {}
  addEventListener(name, handler) { this.handlers[name] = handler; }
  dispatchEvent(event) { events.push(event.detail); return true; }
}
const events = [], addresses = [];
const box = new Node_("div");
Object.assign(box.dataset, {
  badgesLive: "/live/", badgesRecent: "/live/recent/", badgesUser: "7", badgesTitle: "New", badgesClose: "Close",
  badgesImage: "/medal.svg",
});
const storage = GIVEN;
const setItem = (key, text) => { storage[key] = text; };
globalThis.document = { querySelector: () => box, createElement: (name) => new Node_(name) };
globalThis.sessionStorage = { getItem: (key) => storage[key] ?? null, setItem };
globalThis.CustomEvent = class { constructor(name, options) { this.detail = options.detail; } };
class EventSource_ {
  constructor(address) { addresses.push(address); this.handlers = {}; this.readyState = 1; EventSource_.last = this; }
  addEventListener(name, handler) { this.handlers[name] = handler; }
  close() {}
}
EventSource_.CLOSED = 2;
globalThis.EventSource = EventSource_;
globalThis.window = { EventSource: EventSource_, addEventListener() {} };
globalThis.setTimeout = () => 0;
globalThis.clearTimeout = () => {};
globalThis.fetch = async (address) => {
  addresses.push(address);
  return { ok: true, json: async () => ({ id: "9:9:", events: [{ kind: "awarded", name: "Polled" }] }) };
};
SCRIPT
const FIRST = { kind: "awarded", name: "<b>First</b>", image: "/first.svg", url: "/badges/badge/first/" };
const source = EventSource_.last;
source.handlers.ready({ lastEventId: "5:5:" });
source.handlers.badge({ lastEventId: "6:6:", data: JSON.stringify(FIRST) });
source.handlers.badge({ lastEventId: "7:7:", data: JSON.stringify({ kind: "revoked", name: "Gone" }) });
source.readyState = 2;
source.handlers.error();
setImmediate(() => setImmediate(() => console.log(JSON.stringify({
  addresses, events: events.map((each) => each.name),
  toasts: box.children.map((card) => card.children[1].children[1].textContent),
  images: box.children.map((card) => card.children[0].src),
  links: box.children.map((card) => card.children[1].children[1].href ?? ""),
  id: JSON.parse(storage["badges:7"]).id,
}))));
"""


def run(given):
    node = shutil.which("node")
    if not node:
        pytest.skip("NOT RUN: the script of the live badges needs node, or a browser")
    script = BROWSER.replace("GIVEN", json.dumps(given)).replace("SCRIPT", (STATIC / "live.js").read_text("utf-8"))
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_script():
    """The script shows awards, notifies the page of all events, continues where the last page ended, and polls if the
    stream is rejected.
    """
    kept = {"data": {"name": "Kept"}, "until": 10**15}
    old = {"data": {"name": "Old"}, "until": 0}
    found = run({"badges:7": json.dumps({"id": "4:4:", "toasts": [kept, old]})})
    assert found["addresses"] == ["/live/?after=4%3A4%3A", "/live/recent/?after=7%3A7%3A"]
    assert found["events"] == ["<b>First</b>", "Gone", "Polled"]
    assert found["toasts"] == ["Kept", "<b>First</b>", "Polled"]
    assert found["images"] == ["/medal.svg", "/first.svg", "/medal.svg"]
    assert found["links"] == ["", "/badges/badge/first/", ""]
    assert found["id"] == "9:9:"


def test_script_on_the_first_page():
    """Without anything kept the stream begins now."""
    assert run({})["addresses"][0] == "/live/"
