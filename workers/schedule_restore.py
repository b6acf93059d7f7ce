"""Brings schedules made at run time, and pauses, back from the warehouse after Redis lost them."""

from tasks.domain.stored import restorable
from tasks.ports import Services


def restore(services: Services) -> int | None:
    """Fill an empty store; returns how many schedules came back, None when there is a store already.

    Raises RedisUnavailableError, and WarehouseBusyError while the file is locked.
    """
    if services.store.is_open():
        return None
    view = services.records.view.without_stream()
    return services.store.restore(restorable(view.schedule_changes(), view.newest_slots(), view.consumed))
