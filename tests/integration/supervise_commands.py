"""Run the real supervisor on shell commands: `supervise_commands.py name=command …`; the first one ends last."""

import os
import sys
from pathlib import Path

from workers.preflight import own_folder
from workers.supervisor import Supervisor
from workers.undertaker import Undertaker

commands = dict(word.split("=", 1) for word in sys.argv[1:])
with own_folder(Path(os.environ["DATA_DIR"])) as lock, Undertaker(lock) as undertaker:
    supervisor = Supervisor(env=os.environ, output=sys.stdout, undertaker=undertaker)
    supervisor.stop_on_signals()
    for name, command in commands.items():
        supervisor.start(name, command)
    supervisor.run_until(lambda: False)
    supervisor.stop(last=next(iter(commands)))
