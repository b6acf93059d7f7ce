"""One beat with many synthetic schedules: `clock_beats.py PEER REDIS_URL FOLDER JOBS EVERY`; see clock.py."""

import sys
from datetime import timedelta
from typing import Any

import redis
from celery import Celery
from celery.beat import Service

from workers.embedded import client_url

QUEUE = "clock-benchmark"
STARTED = "clock-benchmark:started"


def escapement_service(url: str, folder: str, jobs: int, every: int) -> Service:
    import dataclasses
    import os

    os.environ |= {"REDIS_URL": url, "DATA_DIR": folder, "SCHEDULER_STARTUP_GRACE_SECONDS": "0"}
    from tasks.domain.cadence import Interval
    from tasks.domain.jobs import HttpCall, Job, Method
    from tasks.http_jobs import call_endpoint
    from workers import celery as app

    app.conf.task_routes = {call_endpoint.name: {"queue": QUEUE}}
    app.amqp.queues.add(QUEUE)
    call = HttpCall(method=Method.GET, url="/", timeout=1)
    step = timedelta(seconds=every) / jobs
    table = {
        f"job-{n}": Job(name=f"job-{n}", cadence=Interval(every=timedelta(seconds=every), phase=step * n), action=call)
        for n in range(jobs)
    }
    services = dataclasses.replace(app.services, jobs=table)
    app._services = (os.getpid(), services)
    return Service(app, scheduler_cls="workers.beat:SlotScheduler")


def peer_app(url: str, **conf: Any) -> Celery:
    app = Celery("peer", broker=url)
    app.conf.update(task_default_queue=QUEUE, timezone="UTC", beat_max_loop_interval=5, **conf)
    return app


def celery_service(url: str, folder: str, jobs: int, every: int) -> Service:
    schedule = {f"job-{n}": {"task": "noop", "schedule": every, "options": {"shadow": f"job-{n}"}} for n in range(jobs)}
    return Service(peer_app(url, beat_schedule=schedule), schedule_filename=f"{folder}/schedule")


def redbeat_service(url: str, _folder: str, jobs: int, every: int) -> Service:
    from celery.schedules import schedule
    from redbeat import RedBeatSchedulerEntry

    app = peer_app(url, redbeat_redis_url=client_url(url))
    for n in range(jobs):
        RedBeatSchedulerEntry(f"job-{n}", "noop", schedule(every), options={"shadow": f"job-{n}"}, app=app).save()
    return Service(app, scheduler_cls="redbeat.RedBeatScheduler")


def change_escapement(url: str, name: str) -> None:
    """Store one more schedule, as `celery -A workers schedule add` does."""
    import json

    from tasks.adapters.schedule_store import RedisScheduleStore
    from tasks.domain.schedules import Origin, Schedule
    from tasks.domain.stored import Wish

    store = RedisScheduleStore(redis.Redis.from_url(client_url(url), decode_responses=True))
    definition = json.dumps({"name": name, "schedule": "every 100ms", "path": "/"})
    made = Schedule(job=name, origin=Origin.STORE, cadence="every 100ms", definition=definition)
    store.change(Wish(schedule=made, replaces=None))


def change_redbeat(url: str, name: str) -> None:
    from celery.schedules import schedule
    from redbeat import RedBeatSchedulerEntry

    app = peer_app(url, redbeat_redis_url=client_url(url))
    RedBeatSchedulerEntry(name, "noop", schedule(0.1), options={"shadow": name}, app=app).save()


CHANGES = {"escapement": change_escapement, "redbeat": change_redbeat}
SERVICES = {"escapement": escapement_service, "celery": celery_service, "redbeat": redbeat_service}


def main(peer: str, url: str, folder: str, jobs: str, every: str) -> None:
    service = SERVICES[peer](url, folder, int(jobs), int(every))
    scheduler = service.scheduler
    tick = scheduler.tick

    def first_tick() -> float:
        """Say that the first tick is over, and never be called again."""
        seconds: float = tick()
        redis.Redis.from_url(client_url(url)).rpush(STARTED, "1")
        scheduler.tick = tick
        return seconds

    scheduler.tick = first_tick
    service.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
