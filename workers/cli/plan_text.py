"""A plan as text: tables, and the coming day as a picture in the terminal."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Column, Table

from tasks.domain.durations import duration_text
from tasks.domain.plan import Plan, PlannedGroup, PlannedJob
from tasks.domain.slots import parse_slot
from workers.cli.tables import terminal

LEVELS = " ▁▂▃▄▅▆▇█"
HOURS_PER_LABEL = 6
MOST_PAIRS = 60
CELLS_COLUMNS = 64


def print_plan(plan: Plan, notes: Sequence[str]) -> None:
    """Print a plan as wide as the terminal, or as wide as it needs when it goes into a pipe."""
    console = terminal()
    console.print(_jobs(plan))
    for group in plan.groups:
        _print_group(console, group)
    console.print(_busiest(plan))
    console.print(_picture(plan, console.width), markup=False, soft_wrap=True)
    for note in notes:
        console.print(f"! {note}", markup=False, soft_wrap=True)


def _jobs(plan: Plan) -> Table:
    table = Table(Column("job", overflow="fold"), "group", "cadence", "zone", "phase", "next slots (UTC)")
    for job in plan.jobs:
        phase = "" if job.phase_s is None else _seconds(job.phase_s)
        table.add_row(job.name, job.group, job.cadence.partition(" phase ")[0], job.timezone, phase, _next(job, plan))
    return table


def _next(job: PlannedJob, plan: Plan) -> str:
    """Spell the next slots, with their date where it is not the one before."""
    spelled, date = [], plan.start[:10]
    for slot in job.next_slots:
        day, time = slot[:10], slot[11:-1]
        spelled.append(time if day == date else f"{day} {time}")
        date = day
    return ", ".join(spelled) or "never again"


def _print_group(console: Console, group: PlannedGroup) -> None:
    if group.smallest_distance_s is None:
        return
    console.print(_pairs(group))
    if len(group.pairs) > MOST_PAIRS:
        console.print(f"and {len(group.pairs) - MOST_PAIRS} more pairs; --json lists all of them")
    distance = _seconds(group.smallest_distance_s)
    console.print(f"Group {group.name}: no two jobs ever start closer together than {distance}.\n", markup=False)


def _pairs(group: PlannedGroup) -> Table:
    table = Table(
        Column("pair", overflow="fold"),
        "gcd",
        "coprime",
        "meet per day, phase 0",
        "meet per day, as planned",
        "never closer than",
    )
    for pair in group.pairs[:MOST_PAIRS]:
        table.add_row(
            f"{pair.first} + {pair.second}",
            _seconds(pair.gcd_s),
            "yes" if pair.coprime else "no",
            f"{pair.meetings_per_day_without_phases:.3g}",
            f"{pair.meetings_per_day:.3g}",
            _seconds(pair.smallest_distance_s),
        )
    return table


def _busiest(plan: Plan) -> str:
    busiest = plan.busiest
    if busiest is None:
        return "Nothing runs in the next day."
    return f"Busiest second up to {busiest.until}: {busiest.at}, {busiest.runs} run(s): {', '.join(busiest.jobs)}.\n"


def _picture(plan: Plan, columns: int) -> str:
    """Draw a line for each job, a bar for each cell of the day, its height the share of that job's busiest cell."""
    width = max((len(job.name) for job in plan.jobs), default=0)
    cells = 2 if columns < width + CELLS_COLUMNS else 1
    lines = [f"{job.name:{width}} |{_bars(job.runs, cells)}| {sum(job.runs)}" for job in plan.jobs]
    return "\n".join([f"{'':{width}}  {_hours(plan, cells * plan.cell_s)}  runs in 24 h", *lines])


def _bars(runs: Sequence[int], cells: int) -> str:
    """Draw runs with so many cells in one bar."""
    counts = [sum(runs[at : at + cells]) for at in range(0, len(runs), cells)]
    return "".join(LEVELS[-(-count * (len(LEVELS) - 1) // max(*counts, 1))] for count in counts)


def _hours(plan: Plan, bar_s: float) -> str:
    start, bars_per_label = parse_slot(plan.start), round(HOURS_PER_LABEL * 3600 / bar_s)
    labels = (start + timedelta(hours=ahead) for ahead in range(0, 24, HOURS_PER_LABEL))
    return "".join(f"{label:%H:%M}".ljust(bars_per_label) for label in labels)


def _seconds(seconds: float) -> str:
    return duration_text(timedelta(seconds=seconds))
