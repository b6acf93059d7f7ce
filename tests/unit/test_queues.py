"""Every task has a queue of its own kind: a task without one would run wherever the default leads."""

from workers.app import QUEUES
from workers.app import app as celery


def test_every_task_of_ours_is_routed() -> None:
    celery.loader.import_default_modules()
    ours = {name for name in celery.tasks if name.startswith("tasks.")}
    assert ours == {name for names in QUEUES.values() for name in names}
