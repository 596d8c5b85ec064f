"""Receivers that are ready to be connected; each is optional."""
