"""The badges in Django's admin; see docs/admin.md. Django imports it where its admin is installed, and only there."""

from badges.admin.declared import BadgeDefinitionAdmin
from badges.admin.held import BadgeAdmin
from badges.admin.recorded import BadgeEventAdmin, FailureAdmin, PendingCheckAdmin

__all__ = ["BadgeAdmin", "BadgeDefinitionAdmin", "BadgeEventAdmin", "FailureAdmin", "PendingCheckAdmin"]
