"""Flower's configuration file: `celery -A workers flower --conf=workers/flower/config.py`.

Flower reads options from here; importing is all that is needed.
"""

from workers.flower.beat_rows import show_fires_as_processed
from workers.triggers.route import serve_callbacks

show_fires_as_processed()
serve_callbacks()
