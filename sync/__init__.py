"""Batch Sync: bring the rows of some days from a source to a target, exactly one run at a time."""

__version__ = "0.1.0"
