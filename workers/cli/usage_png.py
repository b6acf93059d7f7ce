"""Usage as a PNG: a bar for each row of the report, of tokens by kind, or of calls; costs beside them."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from tasks.usage_report import UsageReport

MOST_BARS = 60
INCHES_PER_BAR = 0.3
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
CALLS = ("calls", "errors")
COST = "cost"


def draw(path: Path, found: UsageReport) -> None:
    """Write the picture: the last MOST_BARS days, or the first MOST_BARS of anything else. Raises OSError."""
    rows = found.rows[-MOST_BARS:] if found.columns[0] == "day" else found.rows[:MOST_BARS]
    shown = UsageReport(columns=found.columns, rows=rows, currency=found.currency)
    panels = 2 if COST in found.columns else 1
    figure = Figure(figsize=(7 * panels, 1.5 + INCHES_PER_BAR * len(rows)), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    if TOKENS[0] in found.columns:
        _bars(axes[0], shown, TOKENS, stacked=True)
    else:
        _bars(axes[0], shown, CALLS, stacked=False)
    axes[0].xaxis.set_major_formatter(EngFormatter())
    if panels > 1:
        _bars(axes[1], shown, (COST,), stacked=False)
        axes[1].set_xlabel(found.currency or "")
    axes[0].invert_yaxis()
    FigureCanvasAgg(figure).print_png(path)


def _bars(axes: Axes, found: UsageReport, columns: tuple[str, ...], *, stacked: bool) -> None:
    """Draw columns one after the other, or each over the one that it is a part of."""
    left = [0.0] * len(found.rows)
    for column in columns:
        values = _column(found, column)
        axes.barh(range(len(values)), values, left=left, label=column.replace("_", " "))
        if stacked:
            left = [before + value for before, value in zip(left, values, strict=True)]
    axes.set_yticks(range(len(left)), [str(row[0] or "(none)") for row in found.rows])
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(columns), frameon=False, fontsize="small")


def _column(found: UsageReport, column: str) -> list[float]:
    index = found.columns.index(column)
    return [float(str(row[index] or 0)) for row in found.rows]
