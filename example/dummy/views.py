from django.contrib import messages
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count, F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from badges.models import Badge, BadgeDefinition
from dummy.models import Sketch

NEWEST = 25


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The newest badges, and how many users hold each."""
    newest = Badge.objects.order_by(F("awarded_at").desc(nulls_last=True))[:NEWEST]
    context = {
        "newest": newest.values("user__username", "name", "awarded_at"),
        "definitions": BadgeDefinition.objects.annotate(holders=Count("badges")),
        "username": request.GET.get("user", "ada"),
    }
    return render(request, "dummy/index.html", context)


@require_POST
def add_sketch(request: HttpRequest) -> HttpResponse:
    """Add a sketch through Django's models or around them, and say which badges that earned."""
    username = request.POST.get("username", "").strip()
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        messages.error(request, f"There is no user {username}.")
        return redirect("index")
    held = set(Badge.objects.filter(user=user).values_list("name", flat=True))
    with transaction.atomic():
        if request.POST.get("way") == "sql":
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'By plain SQL')", [user.pk])
        else:
            Sketch.objects.create(user=user, title="By the ORM")
        earned = set(Badge.objects.filter(user=user).values_list("name", flat=True)) - held
    total = Sketch.objects.filter(user=user).count()
    outcome = f"earned {', '.join(sorted(map(str, earned)))}" if earned else "earned no new badge"
    messages.success(request, f"{username} has {total} sketches now and {outcome}.")
    return redirect(f"/?user={username}")
