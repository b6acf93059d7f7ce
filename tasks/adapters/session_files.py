"""The folder of session files: listing and opening transcripts without ever leaving the root."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tasks.domain.cursor import Seen

SUFFIX = ".jsonl"


class FolderOfSessions:
    """Transcripts below one root; symbolic links are never followed."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def listing(self) -> tuple[list[Seen], list[str]]:
        """Return every transcript, and the paths refused: links that lead out of the root, names that are not UTF-8.

        A link that stays inside is no file of its own. Folders that can't be read are refused too.
        """
        seen: list[Seen] = []
        refused: list[str] = []
        folders = [""]
        while folders:
            self._list(folders.pop(), folders, seen, refused)
        return seen, refused

    def _list(self, folder: str, folders: list[str], seen: list[Seen], refused: list[str]) -> None:
        try:
            with os.scandir(self._root / folder if folder else self._root) as entries:
                for entry in entries:
                    self._take(entry, folder + entry.name, folders, seen, refused)
        except OSError as error:
            refused.append(f"{_printable(folder) or '.'} ({error.strerror})")

    def _take(
        self, entry: os.DirEntry[str], path: str, folders: list[str], seen: list[Seen], refused: list[str]
    ) -> None:
        if entry.is_symlink():
            if not self._inside(entry.path):
                refused.append(_printable(path))
        elif entry.is_dir(follow_symlinks=False):
            folders.append(path + "/")
        elif path.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
            if _printable(path) != path:
                refused.append(_printable(path))
                return
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                return
            seen.append(Seen(path, found.st_size, found.st_mtime_ns, found.st_ino))

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[Seen, BinaryIO]]:
        """Open a transcript and say what it is now; OSError when it is gone, no regular file, or out of the root."""
        full = f"{self._root}/{path}"
        with os.fdopen(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as stream:
            if _path_of(stream.fileno(), full) != full:
                raise PermissionError(f"{path} leads out of the folder of sessions")
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path} is no regular file")
            yield Seen(path, found.st_size, found.st_mtime_ns, found.st_ino), stream

    def _inside(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(self._root)


def _path_of(descriptor: int, opened: str) -> str:
    """Return where an open file really is: Linux says it without a race, elsewhere the path is resolved again."""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return os.path.realpath(opened)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
