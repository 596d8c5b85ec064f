"""The site of the tests for a process of its own: its database and some settings come by the environment."""

import json
import os

from settings import *  # noqa: F403

given = json.loads(os.environ["BADGES_TEST_SITE"])
DATABASES = {"default": given.pop("database")}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "badges",
    "dummy",
    "sites.listening",
]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "sites.listening.urls"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
STATIC_URL = "/static/"
globals().update(given)
