"""Entries of the ledger stream that are no runs."""

from collections.abc import Mapping

import msgspec

from tasks.domain.schedules import Schedule, ScheduleChange, ScheduleEntry
from tasks.domain.slots import from_epoch_microseconds

SCHEDULE = "schedule"

_decoder = msgspec.json.Decoder(Schedule)


def schedule_entry(stream_id: str, fields: Mapping[str, str]) -> ScheduleEntry:
    """Read an entry whose field `kind` is `schedule`."""
    change = ScheduleChange(
        schedule=_decoder.decode(fields["schedule"]),
        since=from_epoch_microseconds(int(fields["since_us"])),
        by=fields["by"],
    )
    return ScheduleEntry(stream_id=stream_id, change=change)
