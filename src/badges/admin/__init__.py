"""Django's admin for badges; see docs/admin.md. Django imports it only where its admin is installed."""

from badges.admin.declared import BadgeDefinitionAdmin
from badges.admin.held import BadgeAdmin
from badges.admin.recorded import BadgeEventAdmin, FailureAdmin, PendingCheckAdmin

__all__ = ["BadgeAdmin", "BadgeDefinitionAdmin", "BadgeEventAdmin", "FailureAdmin", "PendingCheckAdmin"]
