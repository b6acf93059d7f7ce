"""Sessions at disk speed: our pipeline beside a row-by-row one and DuckDB's own read_json, all in one run.

    python -m benchmarks.sessions [--folder DIR] [--only NAME …]

Every figure is measured on files that are generated first, from a seed, below DIR (about 2 GB).
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

import duckdb

from tasks import pipeline, session_admin
from tasks.adapters.session_files import FolderOfSessions
from tasks.adapters.staging import StagingFolder
from tasks.adapters.warehouse import DuckWarehouse
from tasks.domain.batches import Batch, Budget, Cursor, Fence, Staged
from tasks.domain.processor import Context, Processor
from tasks.domain.transcript import decode
from tasks.processors import registry
from tasks.reading import chunks
from workers.demo.sessions import Script, write_sessions

WORKERS = 2
TEXT_BYTES = 545


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The services of the pipeline on one folder."""

    session_files: FolderOfSessions
    staging: StagingFolder
    warehouse: DuckWarehouse
    processors: Mapping[str, Processor]


def bench(root: Path, data: Path) -> Bench:
    processors = {"usage": registry().processors["usage"]}
    warehouse = DuckWarehouse(data / "warehouse.duckdb", processors, clock=lambda: datetime.now(UTC))
    return Bench(
        session_files=FolderOfSessions(root),
        staging=StagingFolder(data / "staging"),
        warehouse=warehouse,
        processors=processors,
    )


def work(root: Path, data: Path, batch: Batch) -> tuple[Staged, float]:
    """Process one batch in a worker; returns what is staged and the worker's peak memory in MB."""
    staged = pipeline.process(bench(root, data), batch)
    return staged, peak()


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def ingest(root: Path, data: Path) -> tuple[float, float, int]:
    """Run the whole pipeline with WORKERS processes; returns seconds, peak MB of a worker, lines."""
    services, fence = bench(root, data), Fence(name="bench", token=1)
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(warm, range(WORKERS)))
        started = time.perf_counter()
        plan = pipeline.scan(services, ("usage",), Budget())
        memory, lines = 0.0, 0
        for staged, used in pool.map(partial(work, root, data), plan.batches):
            lines += pipeline.commit(services, staged, fence).lines
            memory = max(memory, used)
        return time.perf_counter() - started, memory, lines


def warm(_: int) -> None:
    """Import what a worker that runs already has imported."""
    duckdb.connect().close()
    time.sleep(0.2)


def peak() -> float:
    """Return the peak memory of this process in MB; getrusage would tell that of its parent, too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def files_of(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jsonl"))


def generated(folder: Path, files: int, lines: int) -> tuple[Path, float]:
    """Return a folder of generated sessions and its MB."""
    root = folder / f"sessions-{files}x{lines}"
    if not root.exists():
        write_sessions(root, files=files, lines=lines, text_bytes=TEXT_BYTES)
    return root, sum(path.stat().st_size for path in files_of(root)) / 1e6


def row_by_row(folder: Path) -> Iterator[str]:
    """The pipeline that people run: json, and one insert per row."""
    root, megabytes = generated(folder, 1000, 200)
    sample = files_of(root)[::250]
    share = sum(path.stat().st_size for path in sample) / 1e6
    with tempfile.TemporaryDirectory(dir=folder) as data, duckdb.connect(f"{data}/plain.duckdb") as connection:
        connection.execute("create table rows (file text, line bigint, type text, session text, tokens bigint)")
        started = time.perf_counter()
        for path in sample:
            for number, raw in enumerate(path.open(encoding="utf-8"), 1):
                line = json.loads(raw)
                tokens = (line.get("message") or {}).get("usage", {}).get("output_tokens")
                row = (str(path), number, line.get("type"), line.get("sessionId"), tokens)
                connection.execute("insert into rows values (?, ?, ?, ?, ?)", row)
        seconds = time.perf_counter() - started
    yield f"row by row (json, insert per row), {len(sample)} files: {share / seconds:.2f} MB/s"
    yield f"  that is {len(sample) / seconds:.1f} files/s, {megabytes / (share / seconds):.0f} s for all"


def read_json(folder: Path) -> Iterator[str]:
    """DuckDB's own reader, into a table of types, sessions and messages."""
    root, megabytes = generated(folder, 1000, 200)
    columns = "{type: 'VARCHAR', sessionId: 'VARCHAR', timestamp: 'TIMESTAMP', message: 'JSON'}"
    with tempfile.TemporaryDirectory(dir=folder) as data, duckdb.connect(f"{data}/json.duckdb") as connection:
        connection.execute(f"set threads = {WORKERS}")
        started = time.perf_counter()
        connection.execute(
            f"create table lines as select type, sessionId, timestamp, message->>'id' as id, "
            f"message->'usage' as usage from read_json('{root}/**/*.jsonl', format = 'newline_delimited', "
            f"columns = {columns}, maximum_object_size = 100000000)"
        )
        seconds = time.perf_counter() - started
    yield f"DuckDB read_json, {WORKERS} threads, without joining anything: {megabytes / seconds:.0f} MB/s"


def extraction(folder: Path) -> Iterator[str]:
    """Read, decode and extract in one process, without staging."""
    root, megabytes = generated(folder, 1000, 200)
    usage = registry().processors["usage"]
    started, cpu, rows = time.perf_counter(), time.process_time(), 0
    for path in files_of(root):
        with path.open("rb", buffering=0) as stream:
            for chunk in chunks(stream, 0, path.stat().st_size):
                context = Context(file=1, path=path.name, username="u", session_id="s", first_line=1)
                extracted = usage.extract(decode(chunk.data, first_line=1).lines, context)
                rows += sum(map(len, extracted.values()))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    yield f"parse + extract, one core: {megabytes / cpu:.0f} MB/s of CPU, {megabytes / seconds:.0f} MB/s, {rows} rows"


def end_to_end(folder: Path) -> Iterator[str]:
    """The whole pipeline on large and on small files."""
    for files, lines in ((1000, 200), (10_000, 40)):
        root, megabytes = generated(folder, files, lines)
        with tempfile.TemporaryDirectory(dir=folder) as data:
            before = cpu_seconds()
            seconds, memory, count = ingest(root, Path(data))
            used, services = cpu_seconds() - before, bench(root, Path(data))
            idle = timed(partial(pipeline.scan, services, ("usage",), Budget()))
            view = timed(partial(services.warehouse.query, "select * from usage_sessions"))
            size = (Path(data) / "warehouse.duckdb").stat().st_size / 1e6
        yield f"ours, {files} files x {lines} lines, {megabytes:.0f} MB, {WORKERS} workers:"
        yield f"  {megabytes / seconds:.0f} MB/s, {files / seconds:.0f} files/s, {count / seconds:.0f} lines/s"
        yield f"  {used:.1f} s of processor time in all processes, their start included"
        yield f"  peak of a worker {memory:.0f} MB, of the committing process {peak():.0f} MB"
        yield f"  idle scan {idle:.2f} s, usage_sessions {view:.2f} s, file {size:.0f} MB"


def idle_scan(folder: Path) -> Iterator[str]:
    """100,000 files of which none has changed."""
    root = folder / "sessions-unchanged"
    for number in range(100_000):
        path = root / f"user{number % 50}" / f"project{number % 500}" / f"{number:036}.jsonl"
        if number < 500:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with tempfile.TemporaryDirectory(dir=folder) as data:
        services = bench(root, Path(data))
        seen, _ = services.session_files.listing()
        for start in range(0, len(seen), 1000):
            cursors = tuple(Cursor("usage", 1, each, 0) for each in seen[start : start + 1000])
            staged = Staged(cursors=cursors, parts=(), bytes=0, lines=0, folder="")
            services.warehouse.commit(staged, [], Fence(name="bench", token=1))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            seconds, memory = pool.submit(scans, root, Path(data)).result()
        listing = min(timed(services.session_files.listing) for _ in range(3))
    yield f"idle scan of {len(seen)} files: {seconds:.2f} s, of which listing {listing:.2f} s; {memory:.0f} MB peak"


def scans(root: Path, data: Path) -> tuple[float, float]:
    """Return the best of three scans in seconds, and the peak memory of this process in MB."""
    services = bench(root, data)
    return min(timed(partial(pipeline.scan, services, ("usage",), Budget())) for _ in range(3)), peak()


def small_append(folder: Path) -> Iterator[str]:
    """1 KB more in a file of 1 GB."""
    root = folder / "sessions-large"
    path = root / "alice" / "large.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True)
        block = b"".join(islice(Script(seed=1, session_id="large", text_bytes=TEXT_BYTES).lines(), 20_000))
        with path.open("wb") as stream:
            while stream.tell() < 1e9:
                stream.write(block)
    with tempfile.TemporaryDirectory(dir=folder) as data:
        seconds, memory, _ = ingest(root, Path(data))
        speed = path.stat().st_size / 1e6 / seconds
        yield f"one file of 1 GB: {speed:.0f} MB/s with one worker, its peak {memory:.0f} MB"
        services, times = bench(root, Path(data)), []
        for seed in range(5):
            with path.open("ab") as stream:
                stream.write(next(Script(seed=100 + seed, session_id="large", text_bytes=2000).lines()))
            times.append(timed(partial(run_once, services)))
        yield f"1 KB appended to it: {min(times) * 1000:.0f} ms of scan, process and commit"


def giant_line(folder: Path) -> Iterator[str]:
    """One line of 64 MB, mostly text with a few characters that are not ASCII."""
    root = folder / "sessions-giant"
    path = root / "alice" / "giant.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "é🙂" + "x" * (64 * 1024 * 1024)
    path.write_text(
        json.dumps({"type": "user", "sessionId": "g", "message": {"content": text}}, ensure_ascii=False) + "\n{}\n"
    )
    with tempfile.TemporaryDirectory(dir=folder) as data:
        seconds, memory, lines = ingest(root, Path(data))
    yield f"one line of 64 MB: {seconds:.2f} s, {lines} lines, peak of the worker {memory:.0f} MB"


def random_history(folder: Path) -> Iterator[str]:
    """500 random appends, truncations, rewrites and lost or repeated commits, then a rebuild from zero."""
    random, late = Random(5), []
    with tempfile.TemporaryDirectory(dir=folder) as data:
        root = Path(data) / "sessions"
        services, fence = bench(root, Path(data)), Fence(name="bench", token=1)
        for serial in range(500):
            name = f"s{random.randrange(12)}"
            path = root / f"u{name}" / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_bytes() if path.exists() else b""
            lines = b"".join(Script(seed=serial, session_id=name, text_bytes=60).turns(2))
            shorter = before[: random.randint(0, len(before))]
            content = random.choice([before + lines, before + lines, shorter, lines, before])
            path.write_bytes(content[: len(content) - random.choice([0, 0, 1, 30])])
            if random.random() < 0.3:
                batches = pipeline.scan(services, ("usage",), Budget()).batches
                late += [pipeline.process(services, batch) for batch in batches]
                due = [staged for staged in late if random.random() < 0.8]
                for staged in due:
                    pipeline.commit(services, staged, fence)
                late = [staged for staged in late if staged not in due or random.random() < 0.1]
        run_once(services)
        found = session_admin.verify(services, "usage")
    yield f"verify after 500 random steps: {found.files} files, {found.lines} lines, differences: {found.differences}"


def run_once(services: Bench) -> None:
    for batch in pipeline.scan(services, ("usage",), Budget()).batches:
        pipeline.commit(services, pipeline.process(services, batch), Fence(name="bench", token=1))


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


MEASURES = (row_by_row, read_json, extraction, end_to_end, idle_scan, small_append, giant_line, random_history)


def main() -> None:
    names = [measure.__name__ for measure in MEASURES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the files are generated and kept (default: a temporary one)")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, DuckDB {duckdb.__version__}", flush=True)
    for measure in MEASURES:
        if measure.__name__ in given.only:
            for line in measure(folder):
                print(line, flush=True)
    if not given.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
