"""Closed sets of choices that a job makes."""

from enum import StrEnum


class Overlap(StrEnum):
    """What happens to a slot whose job is still running."""

    SKIP = "skip"
    DEFER = "defer"
    QUEUE = "queue"
    ALLOW = "allow"
