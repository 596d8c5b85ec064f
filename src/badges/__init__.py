"""Badges for Django users, declared in badge.json and awarded by PostgreSQL itself."""

__version__ = "1.0.0.dev0"
