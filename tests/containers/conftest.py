"""pytest-celery for the tests of this folder only, with our image, our Redis image and a beat container."""

import docker
import pytest
from docker.errors import DockerException
from pytest_celery import *  # noqa: F403 - its plugin is off for all other tests
from pytest_celery import (
    CeleryBrokerCluster,
    CeleryTestContainer,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
)
from pytest_docker_tools import container, fxtr, volume

from tests.conftest import missing
from tests.containers.engine import API_PORT, BASE_IMAGE, BROKER_IMAGE, ROOT, build_image, write_session


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    """Return a client of a Docker engine that has the images which ours are made from."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        missing(f"no Docker engine answers (.ci/docker-engine start): {error}")
    for image in (BASE_IMAGE, BROKER_IMAGE):
        if not client.images.list(name=image):
            missing(f"the engine has no {image} (.ci/base-images)")
    return client


@pytest.fixture(scope="session")
def escapement_image(engine: docker.DockerClient) -> str:
    return build_image()


class EscapementWorker(CeleryWorkerContainer):
    """A worker of ours: the queue is its name, the image brings everything else."""

    pool = ("-P", "threads", "-c", "2")

    @classmethod
    def worker_name(cls) -> str:
        return cls.worker_queue()

    @classmethod
    def command(cls, *args: str, **options: object) -> list[str]:
        queue = cls.worker_queue()
        return ["celery", "-A", "workers", "worker", "-l", "info", "-Q", queue, "-n", f"{queue}@%h", *cls.pool, *args]


class HttpWorker(EscapementWorker):
    @classmethod
    def worker_queue(cls) -> str:
        return "http"


class SessionsWorker(EscapementWorker):
    pool = ("-P", "prefork", "-c", "1")

    @classmethod
    def worker_queue(cls) -> str:
        return "sessions"


class WarehouseWorker(EscapementWorker):
    pool = ("-P", "threads", "-c", "1")

    @classmethod
    def worker_queue(cls) -> str:
        return "warehouse"


class Beat(CeleryTestContainer):
    """pytest-celery has no beat of its own."""

    @property
    def ready_prompt(self) -> str:
        return "beat: Starting"


@pytest.fixture
def default_redis_broker_image(engine: docker.DockerClient) -> str:
    return BROKER_IMAGE


@pytest.fixture
def celery_broker_cluster(celery_redis_broker) -> CeleryBrokerCluster:
    cluster = CeleryBrokerCluster(celery_redis_broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """No second Redis: results live beside the broker."""


@pytest.fixture
def session_folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sessions")
    write_session(folder)
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755)
    return str(folder)


@pytest.fixture
def escapement_env(celery_worker_cluster_config, api) -> dict[str, str]:
    return {
        "REDIS_URL": celery_worker_cluster_config["celery_broker_cluster_config"]["urls"][0],
        "API_URL": f"http://{api.ips.primary}:{API_PORT}",
        "SESSION_DATA_DIR": "/sessions",
        "SCHEDULER_STARTUP_GRACE_SECONDS": "0",
        "SCHEDULER_TICK_SECONDS": "1",
        "SCHEDULER_HEALTH_CHECK_INTERVAL": "3",
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "7",
    }


@pytest.fixture
def escapement_volumes(warehouse_volume, session_folder) -> dict[str, dict[str, str]]:
    return {
        warehouse_volume.name: {"bind": "/data", "mode": "rw"},
        session_folder: {"bind": "/sessions", "mode": "ro"},
    }


def _from_our_image(wrapper_class, **options):
    return container(
        image="{escapement_image}",
        network="{default_pytest_celery_network.name}",
        wrapper_class=wrapper_class,
        timeout=60,
        **options,
    )


def _worker(wrapper_class):
    return _from_our_image(
        wrapper_class,
        command=wrapper_class.command(),
        environment=fxtr("escapement_env"),
        volumes=fxtr("escapement_volumes"),
    )


warehouse_volume = volume()
api = _from_our_image(
    None,
    command=["python", "/recording_api.py"],
    volumes={str(ROOT / "tests/containers/recording_api.py"): {"bind": "/recording_api.py", "mode": "ro"}},
)
http_worker = _worker(HttpWorker)
sessions_worker = _worker(SessionsWorker)
warehouse_worker = _worker(WarehouseWorker)
beat = _from_our_image(
    Beat, command=["celery", "-A", "workers", "beat", "-l", "info"], environment=fxtr("escapement_env")
)


@pytest.fixture
def celery_worker_cluster(http_worker, sessions_worker, warehouse_worker, celery_setup_app) -> CeleryWorkerCluster:
    containers = (http_worker, sessions_worker, warehouse_worker)
    cluster = CeleryWorkerCluster(*(CeleryTestWorker(each, app=celery_setup_app) for each in containers))
    yield cluster
    cluster.teardown()
