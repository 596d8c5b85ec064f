"""Badges declared in Python, for the `badges.py` of an app:

register(Rule(code="star", name="Star", model=Sketch, on="update", user_field="user",
              condition=Q(hit_views__gt=1000)))
"""

from badges.definitions.django_expressions import Aggregated, New, Old
from badges.definitions.python_rules import Rule, autodiscover, register

__all__ = ["Aggregated", "New", "Old", "Rule", "autodiscover", "register"]
