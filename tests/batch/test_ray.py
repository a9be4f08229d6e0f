"""The work in a Ray cluster."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from batch_tasks import DEADLINE, tasks_for
from programs import free_port, run

from rdpcodec.batch.plan import Task
from rdpcodec.batch.ray import run_ray
from rdpcodec.batch.work import Compression


@pytest.fixture
def ray_cluster() -> Iterator[None]:
    """A Ray cluster with one worker on this machine, for as long as a test may take."""
    import ray
    from ray.cluster_utils import Cluster

    def give_up(*arguments: object) -> None:
        raise TimeoutError

    # Ray waits 15 s for services that choose their own ports, too short while other programs are busy.
    services = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    ports = {f"{service}_port": free_port() for service in services}
    cluster = Cluster(True, head_node_args={"num_cpus": 1, "include_dashboard": False} | ports)
    handler = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(DEADLINE)
    try:
        ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.usefixtures("ray_cluster")
def test_ray_does_the_same_over_urls_and_a_killed_actor_costs_one_image(folder: Path, tmp_path: Path) -> None:
    class Odd(Compression):
        """Two images are special: one kills whoever codes it, one is never finished."""

        def converted(self, data: bytes, task: Task) -> bytes:
            if task.source.endswith("deadly.png"):
                os.kill(os.getpid(), signal.SIGKILL)
            while task.source.endswith("endless.png"):
                (tmp_path / "working").write_text(str(os.getpid()))
                time.sleep(0.1)
            return super().converted(data, task)

    (folder / "bad.png").write_bytes(b"rubbish")
    for name in ("deadly.png", "endless.png"):
        (folder / name).touch()
    names = ("deadly.png", "a.png", "bad.png", "b.JPG", "sub/c.webp", "endless.png")
    (tmp_path / "list.txt").write_text("".join(f"file://{folder}/{name}\n" for name in names))
    tasks = tasks_for([f"@{tmp_path}/list.txt"], f"file://{tmp_path}/out", Compression())

    run = run_ray(tasks, Odd(), workers=1, force=False)
    outcomes = {Path(o.source).name: o for o in islice(run, 5)}
    assert "worker process died" in (outcomes["deadly.png"].error or "")
    assert "not an image" in (outcomes["bad.png"].error or "")
    for name in ("a.png", "b.JPG", "c.webp"):
        assert outcomes[name].error is None
        assert Path(outcomes[name].output).stat().st_size == outcomes[name].bytes_after
    assert len(list((tmp_path / "out").rglob("*.rdpc"))) == 3

    while not (tmp_path / "working").exists():
        time.sleep(0.1)
    run.close()
    with pytest.raises(ProcessLookupError):  # noqa: PT012 # it takes a moment
        while True:
            os.kill(int((tmp_path / "working").read_text()), 0)
            time.sleep(0.1)


def test_ray_is_asked_for_where_it_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("batch", folder, tmp_path / "out", "--engine", "ray")
    assert result.exit_code == 1
    assert "pip install 'rdpcodec[ray]'" in result.stderr
