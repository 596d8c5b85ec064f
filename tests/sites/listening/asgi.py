from django.conf import settings
from django.core.asgi import get_asgi_application

application = get_asgi_application()

from badges import live  # noqa: E402

live.HEARTBEAT = getattr(settings, "BADGES_TEST_HEARTBEAT", live.HEARTBEAT)
