"""Receivers for the signals: email and webhook. Each is optional."""
