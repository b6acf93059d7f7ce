"""What people ask the owner of the warehouse to do with session files, as Celery tasks: each may be repeated."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from celery import Task, shared_task

from tasks import session_admin
from tasks.errors import EscapementError
from tasks.ports import Services
from tasks.verification_runs import ScanServices, scan_services

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task


class CareTask(BaseTask):
    """A task without a slot: nobody schedules it, and doing it twice does no harm."""

    abstract = True
    acks_late = True
    throws = (EscapementError,)

    @property
    def care(self) -> ScanServices:
        """The pipeline's services with every processor, verification among them."""
        return every_processor(cast("Any", self.app).services)


def every_processor(services: Services) -> ScanServices:
    """Return the pipeline's services with all processors of which there are cursors."""
    own = scan_services(services)
    return ScanServices(
        session_files=services.session_files,
        staging=services.staging,
        warehouse=services.warehouse,
        processors={**services.processors, **own.processors},
    )


@shared_task(bind=True, base=CareTask, name="tasks.retry_sessions")
def retry_sessions(self: CareTask, paths: list[str]) -> int:
    """Let failed and quarantined files be tried by the next run, all when none is named; returns how many."""
    return session_admin.retry(self.care, (), paths)


@shared_task(bind=True, base=CareTask, name="tasks.reprocess_sessions")
def reprocess_sessions(self: CareTask, processor: str, paths: list[str]) -> int:
    """Let the next run of one processor read files from their beginning, all when none is named; returns how many."""
    return session_admin.reprocess(self.care, processor, paths)


@shared_task(bind=True, base=CareTask, name="tasks.prune_sessions")
def prune_sessions(self: CareTask, older_than: str) -> dict[str, int]:
    """Forget rows of files last changed before an instant; returns how many files and rows."""
    pruned = session_admin.prune(self.care, datetime.fromisoformat(older_than))
    return cast("dict[str, int]", msgspec.to_builtins(pruned))
