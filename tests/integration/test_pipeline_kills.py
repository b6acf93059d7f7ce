"""A process that is killed anywhere in the pipeline costs time, never rows."""

import subprocess
import sys
from pathlib import Path
from random import Random

from tasks import session_admin
from tests.integration.pipeline_bench import Bench
from workers.demo.sessions import Script

ROOT = Path(__file__).parents[2]
LOOP = """
import sys
from pathlib import Path
from tests.integration.pipeline_bench import Bench
bench = Bench(Path(sys.argv[1]))
print("ready", flush=True)
for word in sys.stdin:
    bench.ingest()
    print("done", flush=True)
"""


def start(folder):
    command = [sys.executable, "-c", LOOP, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    return process


def tell(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_process_killed_at_any_moment_leaves_what_a_rebuild_confirms(tmp_path):
    random, bench = Random(3), Bench(tmp_path)
    for seed in range(12):
        name = f"s{seed % 4}"
        path = bench.root / f"u/{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        bench.append(f"u/{name}.jsonl", *Script(seed=seed, session_id=name).turns(20))
        with start(tmp_path) as process:
            tell(process)
            try:
                process.wait(timeout=random.random() * 0.2)
            except subprocess.TimeoutExpired:
                process.kill()
    bench.ingest()
    found = session_admin.verify(bench, "usage")
    assert (found.files, found.pending, found.differences) == (4, 0, ())
    scripts = [[Script(seed=seed, session_id="s") for seed in range(name, 12, 4)] for name in range(4)]
    expected = [sum(script.turns(20) and script.figures.messages for script in group) for group in scripts]
    assert [row["messages"] for row in bench.sessions().values()] == expected
