"""Imports point one way: workers → beat_schedule → tasks; shells → run_once and pipeline → ports → domain."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOMAIN_MAY_USE = {"msgspec", "cronsim"}
WIRING = ROOT / "workers" / "services.py"


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files("tasks/domain"), ids=name)
def test_the_domain_imports_the_standard_library_and_itself_only(path: Path) -> None:
    foreign = {
        each
        for each in imports(path)
        if not each.startswith("tasks.domain.")
        and each.split(".")[0] not in sys.stdlib_module_names | DOMAIN_MAY_USE
        and not each.startswith("tasks.errors.")
    }
    assert not foreign


@pytest.mark.parametrize("path", python_files("tasks"), ids=name)
def test_tasks_know_nothing_of_when_and_how(path: Path) -> None:
    assert not {each for each in imports(path) if each.split(".")[0] in {"workers", "beat_schedule"}}


def test_the_table_of_jobs_knows_nothing_of_how() -> None:
    assert not {each for each in imports(ROOT / "beat_schedule.py") if each.startswith("workers")}


@pytest.mark.parametrize("path", python_files("tasks", "workers"), ids=name)
def test_only_the_wiring_imports_adapters(path: Path) -> None:
    if path != WIRING and (ROOT / "tasks" / "adapters") not in path.parents:
        assert not {each for each in imports(path) if each.startswith("tasks.adapters")}


@pytest.mark.parametrize("path", python_files("tasks/adapters"), ids=name)
def test_adapters_do_not_import_the_shells(path: Path) -> None:
    shells = {"tasks.http_jobs", "tasks.sessions", "tasks.run_once", "tasks.session_runs", "tasks.pipeline"}
    assert not {each for each in imports(path) if each.rpartition(".")[0] in shells or each in shells}


@pytest.mark.parametrize("path", python_files("tasks", "workers"), ids=name)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    reads = {each for each in imports(path) if each in {"os.environ", "os.getenv"}}
    uses = any(
        isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        for node in ast.walk(ast.parse(path.read_text()))
    )
    assert not reads
    assert not uses or name(path) in {"workers/settings.py", "workers/run.py", "workers/demo/__main__.py"}


def test_every_file_is_seen() -> None:
    assert {"tasks/run_once.py", "workers/app.py"} <= {name(path) for path in python_files("tasks", "workers")}
