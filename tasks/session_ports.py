"""Ports of the session pipeline: the files, the staging folder, and the warehouse."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tasks.domain.batches import Committed, Comparison, Fence, Part, Staged
from tasks.domain.cursor import Seen
from tasks.domain.outcomes import Run
from tasks.domain.processor import Processor, Rows
from tasks.domain.session_state import Difference, Kept, Overview, Pruned


class SessionFiles(Protocol):
    """The transcripts below the root."""

    def listing(self) -> tuple[list[Seen], list[str]]:
        """Return every transcript, and the paths that are refused."""
        ...

    def open(self, path: str) -> AbstractContextManager[tuple[Seen, BinaryIO]]:
        """Open a transcript and say what it is now; raises OSError, FileNotFoundError when it is gone."""
        ...


class StagedWriter(Protocol):
    """Takes the rows of one batch; `failures` are by (processor, file)."""

    @property
    def folder(self) -> str: ...

    @property
    def failures(self) -> Mapping[tuple[str, int], str]: ...

    def add(self, rows: Rows) -> None:
        """Take checked rows of one file."""
        ...

    def close(self) -> Sequence[Part]:
        """Write what is left; returns what was staged."""
        ...


class Staging(Protocol):
    """Rows on their way from a worker to the warehouse."""

    def writer(self, processors: Sequence[Processor]) -> AbstractContextManager[StagedWriter]:
        """Give a writer for one batch; what it wrote goes if the block fails."""
        ...

    def paths(self, parts: Sequence[Part]) -> list[Path]:
        """Return where the parts are, or were."""
        ...

    def remove(self, folder: str) -> None:
        """Remove what one batch staged; harmless when repeated."""
        ...

    def sweep(self, older_than: datetime) -> int:
        """Remove what crashed runs left behind before an instant; returns how many batches."""
        ...


class Warehouse(Protocol):
    """The DuckDB file: runs, cursors and rows. Raises WarehouseBusyError while another process keeps it locked."""

    def compare(self, files: Sequence[Seen], wanted: Mapping[str, int]) -> Comparison:
        """Compare files with the cursors of the wanted processors (name to version), in one set operation."""
        ...

    def commit(self, staged: Staged, paths: Sequence[Path], fence: Fence) -> Committed:
        """Write staged rows and move their cursors in one transaction; raises FencedError for an old token."""
        ...

    def append_runs(self, entries: Sequence[tuple[str, Run]]) -> int:
        """Keep (stream id, run) by (job, key), the newest stream id of each; returns how many changed."""
        ...

    def last_stream_id(self) -> str | None:
        """Return the newest stream id that was ever appended."""
        ...

    def prune_runs(self, older_than: datetime) -> int:
        """Forget runs that ended before an instant; returns how many."""
        ...

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Answer a question (with `$name` for values), read-only: the columns' names and the rows."""
        ...

    def overview(self) -> Overview:
        """Return what the cursors say: totals of each user, files in trouble."""
        ...

    def retry(self, processors: Sequence[str], paths: Sequence[str]) -> int:
        """Let failed files be tried at once; returns how many. Empty means all."""
        ...

    def reprocess(self, processor: str, paths: Sequence[str]) -> int:
        """Let files be read from their beginning; returns how many. Empty means all."""
        ...

    def prune_sessions(self, older_than: datetime, present: Sequence[str]) -> Pruned:
        """Forget rows of files last changed before an instant, and the cursors of those that are not `present`."""
        ...

    def kept(self, processor: Processor) -> Sequence[Kept]:
        """Return the cursors of a processor's present version."""
        ...

    def differences(
        self, processor: Processor, files: Sequence[int], staged: Sequence[tuple[Part, Path]]
    ) -> Sequence[Difference]:
        """Compare the rows of these files with staged rows of a rebuild, through the processor's own views."""
        ...


class PipelineServices(Protocol):
    """What the session pipeline needs."""

    @property
    def session_files(self) -> SessionFiles: ...

    @property
    def staging(self) -> Staging: ...

    @property
    def warehouse(self) -> Warehouse: ...

    @property
    def processors(self) -> Mapping[str, Processor]: ...
