"""For the tests of a site: triggers where a test asks for them, and assertions about what earns a badge.

    class CollectorTest(BadgesTestMixin, TestCase):
        def test_fifth_sketch(self):
            with assert_earns(self.ada, "collector"):
                Sketch.objects.create(user=self.ada, title="Five")

With pytest, the fixture `badge_triggers` or the marker of the same name installs them.
"""

from __future__ import annotations

from badges.test.assertions import assert_earns, assert_not_earns
from badges.test.triggers import BadgesTestMixin

__all__ = ["BadgesTestMixin", "assert_earns", "assert_not_earns"]
