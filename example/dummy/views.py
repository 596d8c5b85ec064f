from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from dummy import drawing, people
from dummy.models import Like, Sketch

NEWEST = 12
MOST_AT_ONCE = 1000


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The newest sketches, and beside them the badges, which are shown by template tags alone."""
    # Not as a join, which would be grouped before it is cut.
    likes = Like.objects.filter(sketch=OuterRef("pk")).order_by().values("sketch").annotate(count=Count("pk"))
    newest = Sketch.objects.select_related("user").order_by("-pk")
    newest = newest.annotate(like_count=Coalesce(Subquery(likes.values("count")), 0))
    if request.user.is_authenticated:
        newest = newest.annotate(is_liked=Exists(Like.objects.filter(user=request.user, sketch=OuterRef("pk"))))
    context = {"sketches": newest[:NEWEST], "artists": people.artists(), "admin_name": people.ADMIN}
    return render(request, "dummy/index.html", context)


@require_GET
@cache_control(public=True, max_age=86400)
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """The picture of a sketch."""
    return HttpResponse(drawing.svg(pk), content_type="image/svg+xml")


@require_POST
def become(request: HttpRequest) -> HttpResponse:
    """Log in as one of the users of the demo, without a password."""
    name = request.POST.get("username", "")
    if name in (*people.ARTISTS, people.ADMIN):
        person = get_object_or_404(get_user_model(), username=name)
        login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("admin:index" if name == people.ADMIN else "index")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Log out."""
    logout(request)
    return redirect("index")


@require_POST
@login_required
def draw(request: HttpRequest) -> HttpResponse:
    """A sketch of the user, through Django's models."""
    sketch = Sketch(user_id=request.user.pk, title=request.POST.get("title", "").strip()[:200] or _("Untitled"))
    sketch.save()
    messages.info(request, f"Sketch(title={sketch.title!r}).save()")
    return redirect("index")


@require_POST
def draw_by_sql(request: HttpRequest) -> HttpResponse:
    """Sketches for any user, without Django's models: PostgreSQL awards the badges all the same."""
    artist = get_object_or_404(get_user_model(), username__in=people.ARTISTS, pk=number(request, "artist"))
    count = min(number(request, "count"), MOST_AT_ONCE)
    statement = "INSERT INTO dummy_sketch (user_id, title) SELECT %s, 'SQL' FROM generate_series(1, %s)"
    with connection.cursor() as cursor:
        cursor.execute(statement, [artist.pk, count])
    messages.info(request, statement % (artist.pk, count))
    return redirect("index")


@require_POST
def look(request: HttpRequest, pk: int) -> HttpResponse:
    """Add views to a sketch, one or many."""
    count = min(number(request, "count"), MOST_AT_ONCE)
    Sketch.objects.filter(pk=pk).update(hit_views=F("hit_views") + count)
    messages.info(request, f"UPDATE dummy_sketch SET hit_views = hit_views + {count} WHERE id = {pk}")
    return redirect("index")


@require_POST
@login_required
def like(request: HttpRequest, pk: int) -> HttpResponse:
    """Like a sketch, or withdraw the like."""
    sketch = get_object_or_404(Sketch, pk=pk)
    liked, is_new = Like.objects.get_or_create(user_id=request.user.pk, sketch=sketch, artist_id=sketch.user_id)
    if not is_new:
        liked.delete()
    messages.info(request, f"{'INSERT INTO' if is_new else 'DELETE FROM'} dummy_like")
    return redirect("index")


@require_POST
@login_required
def throw_away(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a sketch of the user."""
    Sketch.objects.filter(pk=pk, user_id=request.user.pk).delete()
    messages.info(request, f"DELETE FROM dummy_sketch WHERE id = {pk}")
    return redirect("index")


def number(request: HttpRequest, name: str) -> int:
    """A number from a form, 1 if there is none."""
    text = request.POST.get(name, "")[:9]
    return int(text) if text.isascii() and text.isdecimal() else 1
