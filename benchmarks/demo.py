"""Start the demo, watch it, stop it: `python benchmarks/demo.py [seconds]`.

Figures: start until all nodes are online, memory of all processes, lateness of the calls that the demo's API received
(their receipt against their slots), and the time that Ctrl-C takes. The installation is not in them: time `make demo`.
"""

import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.conftest import marked_processes
from tests.running_demo import Demo, running_demo

MEGABYTE = 1e6
SETTLE_SECONDS = 10.0


def memory(demo: Demo) -> tuple[float, float]:
    """The resident (pages counted once in each process) and proportional (shared pages split) memory in MB."""
    whole = [process.memory_full_info() for process in marked_processes(demo.mark)]
    return sum(each.rss for each in whole) / MEGABYTE, sum(each.pss for each in whole) / MEGABYTE


def print_processes(demo: Demo) -> None:
    """The memory of each process."""
    for process in sorted(marked_processes(demo.mark), key=psutil.Process.create_time):
        whole = process.memory_full_info()
        words = " ".join(Path(word).name for word in process.cmdline()[:12])
        print(f"  {whole.rss / MEGABYTE:6.1f} MB rss {whole.pss / MEGABYTE:6.1f} MB pss  {words[:90]}")


def print_lateness(name: str, lateness: list[float]) -> None:
    """The distribution in milliseconds."""
    ordered = sorted(1000 * each for each in lateness)
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99))
    print(f"{name}: {len(ordered)} calls, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {ordered[-1]:.1f} ms")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        with running_demo(Path(folder)) as demo:
            online = time.time()
            print(f"start until all nodes are online: {online - began:.1f} s")
            time.sleep(seconds)
            rss, pss = memory(demo)
            print(f"memory of {len(marked_processes(demo.mark))} processes: rss {rss:.0f} MB, pss {pss:.0f} MB")
            print_processes(demo)
            calls = demo.calls()
            print_lateness("lateness, every call", [call["lateness_s"] for call in calls])
            steady = [call["lateness_s"] for call in calls if call["received_at"] > online + SETTLE_SECONDS]
            print_lateness(f"lateness, from {SETTLE_SECONDS:.0f} s after the start", steady)
            print(f"mean {statistics.fmean(steady) * 1000:.1f} ms, duplicates {sum(c['duplicate'] for c in calls)}")
            began = time.time()
            demo.process.send_signal(signal.SIGINT)
            status = demo.process.wait(timeout=30)
            print(f"stop: {time.time() - began:.1f} s, exit status {status}, left {marked_processes(demo.mark)}")


if __name__ == "__main__":
    main()
