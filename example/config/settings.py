"""A small site with badges. Its database is that of BADGES_DSN, or that of the demo while it is running."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).resolve().parent.parent
sys.path.append(str(BASE_DIR.parent / "tools"))

import embedded_postgres  # noqa: E402


def database() -> dict[str, Any]:
    """The database of BADGES_DSN, or that of the running demo, in the form of Django's settings."""
    dsn = os.environ.get("BADGES_DSN")
    if not dsn:
        running = embedded_postgres.demo_dsn_file()
        dsn = running.read_text() if running.exists() else "dbname=badges"
    options = conninfo_to_dict(dsn)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    named = {name: str(options.pop(key)) for name, key in names.items() if options.get(key)}
    return {"ENGINE": "django.db.backends.postgresql", **named, "OPTIONS": options}


DATABASES = {"default": database()}

# Good enough for a site that only this machine can reach.
SECRET_KEY = "example"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    # Before the others, so that its templates and static files take precedence.
    "dummy",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "badges",
]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
# Swagger UI from the sidecar, not from a CDN.
SPECTACULAR_SETTINGS = {
    "TITLE": "Badges",
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
BADGES_FILE = BASE_DIR / "badge.json"
BADGES_BASE_TEMPLATE = "dummy/base.html"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = LOGIN_REDIRECT_URL = "index"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")]
TIME_ZONE = "UTC"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True
