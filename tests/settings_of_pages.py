"""The site of the tests, as a server of pages in a process of its own has it: its database comes by the environment."""

import json
import os

from settings import *  # noqa: F403

DATABASES = {"default": json.loads(os.environ["BADGES_TEST_SITE"])["database"]}
ALLOWED_HOSTS = ["127.0.0.1"]
BADGES_NOTIFY = True
