from django.conf import settings
from django.core.asgi import get_asgi_application

application = get_asgi_application()

from badges.live import views  # noqa: E402

views.HEARTBEAT = getattr(settings, "BADGES_TEST_HEARTBEAT", views.HEARTBEAT)
