"""The coming day as a PNG: a row for each job, a tick for each slot."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import DateFormatter, HourLocator, date2num
from matplotlib.figure import Figure

from tasks.domain.jobs import Job
from tasks.domain.plan import DAY
from tasks.domain.slots import MICROSECOND

MOST_TICKS = 3_000
INCHES_WIDE = 14
INCHES_PER_JOB = 0.45
GREY = "0.6"


def draw(path: Path, jobs: Mapping[str, Job], start: datetime) -> None:
    """Write the picture; a job with more ticks than can be told apart is a bar. Raises OSError."""
    figure = Figure(figsize=(INCHES_WIDE, 1.5 + INCHES_PER_JOB * len(jobs)), layout="constrained")
    axes = figure.add_subplot()
    groups = sorted({job.group for job in jobs.values()})
    for row, job in enumerate(jobs.values()):
        colour = f"C{groups.index(job.group)}" if job.group else GREY
        ticks = _ticks(job, start)
        if len(ticks) > MOST_TICKS:
            axes.barh(row, width=1, left=date2num(start), height=0.6, color=colour)
        else:
            axes.eventplot(ticks, lineoffsets=row, linelengths=0.7, linewidths=0.7, colors=colour)
    axes.set_yticks(range(len(jobs)), [f"{job.name}  ({job.cadence})" for job in jobs.values()])
    axes.set_xlim(date2num(start), date2num(start + DAY))
    axes.xaxis.set_major_locator(HourLocator(interval=2))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.invert_yaxis()
    axes.set_title(f"24 h from {start:%Y-%m-%d %H:%M} UTC")
    FigureCanvasAgg(figure).print_png(path)


def _ticks(job: Job, start: datetime) -> list[float]:
    slots = job.cadence.slots_between(start - MICROSECOND, start + DAY)
    return [float(date2num(slot)) for slot in islice(slots, MOST_TICKS + 1)]
