"""All measurements, in the order in which they run."""

from __future__ import annotations

from bench import bulk, clients, commands, crowd, growth, sessions, writes

MEASUREMENTS = tuple(
    measurement
    for module in (writes, bulk, crowd, growth, sessions, clients, commands)
    for measurement in module.MEASUREMENTS
)
