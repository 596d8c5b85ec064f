"""The example site on the database of the tests, which comes by the environment."""

import json
import os

from config.settings import *  # noqa: F403

DATABASES = {"default": json.loads(os.environ["BADGES_TEST_SITE"])["database"]}
SECRET_KEY = "tests"  # as the tests log its users in
