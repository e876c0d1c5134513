"""A step by processes that somebody else has started, on two hosts, and what each may write."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.errors import LeaseLost, ProcessUnready
from backend.run.states import State
from backend.worker.together import Leader, joined
from tests.backend.worker.circle import HERO_PLUS, Circle

MANY = {
    "CUDA_VISIBLE_DEVICES": "",
    "GLOO_SOCKET_IFNAME": "eth0",
    "LABEL_STUDIO_URL": "http://127.0.0.1:1",
    "LABEL_STUDIO_API_KEY": "token",
}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Host:
    """A network namespace, with an address of its own on a wire to the other one's."""

    name: str
    address: str

    def start(self, command: list[str], env: dict[str, str]) -> "subprocess.Popen[str]":
        words = ["ip", "netns", "exec", self.name, sys.executable, *command]
        env = {**os.environ, **MANY, **env}
        return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """Two hosts that reach each other by their network, and nothing else."""
    mine = f"hero{os.getpid()}"
    found = [Host(f"{mine}-{number}", f"10.77.0.{number + 1}") for number in range(2)]
    try:
        for host in found:
            ip("netns", "add", host.name)
        ends = ["eth0", "netns", found[0].name, "type", "veth"]
        ip("link", "add", *ends, "peer", "name", "eth0", "netns", found[1].name)
        for host in found:
            for words in (
                ["addr", "add", f"{host.address}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                ip("-n", host.name, *words)
    except (OSError, subprocess.CalledProcessError) as error:
        _take_away(found)
        pytest.skip(f"no network namespaces can be made here ({error})")
    yield found
    _take_away(found)


def _take_away(hosts: list[Host]) -> None:
    for host in hosts:
        subprocess.run(["ip", "netns", "del", host.name], check=False, capture_output=True)


def launched(
    by: str, hosts: list[Host], home: Path, other_home: Path | None = None
) -> list[tuple[int, str]]:
    """How each host's launcher ended, and what it said."""
    started = []
    for number, host in enumerate(hosts):
        port = "29511"
        if by == "torchrun":
            command = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
            command += ["--rdzv-backend", "c10d", "--rdzv-id", "hero"]
            command += ["--rdzv-endpoint", f"{hosts[0].address}:{port}"]
            # Both namespaces have the machine's name, by which torchrun would tell them apart.
            command += ["--local-addr", host.address, "--rdzv-conf", f"is_host={1 - number}"]
        else:
            command = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
            command += ["--num_machines", "2", "--machine_rank", str(number)]
            command += ["--main_process_ip", hosts[0].address, "--main_process_port", port]
            command += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        homes = [home, other_home or home]
        env = {"HERO_HOME": str(homes[number])}
        started.append(host.start([*command, "-m", "backend.worker.step"], env))
    said = [process.communicate(timeout=240)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["torchrun", "accelerate"])
def test_two_hosts_make_what_one_process_makes(
    tmp_path: Path, model: Callable[[str], Path], hosts: list[Host], by: str
):
    def circle(name: str) -> Circle:
        return Circle(tmp_path / name, model=str(model("sd")), **HERO_PLUS)

    alone, together = circle("alone"), circle("together")
    home = together.settings.home
    ended = launched(by, hosts, home)
    assert [status for status, _ in ended] == [0, 0], ended
    assert together.run.state is State.publishing
    for each in (alone, together):
        assert each.worker().work_once()
        assert each.run.state is State.labelling
        each.label()

    if by == "torchrun":
        launched(by, hosts, home, tmp_path / "another home")
        run = together.run
        assert (run.state, run.epoch) == (State.learning, 0)
        assert run.error is not None
        assert "Process 1 of 2" in run.error and "give all the same HERO_HOME" in run.error
        assert "waits for whoever runs this machine" in run.error
        together.wait(together.store.work_waits)

    ended = launched(by, hosts, home)
    assert [status for status, _ in ended] == [0, 0], ended
    assert (together.run.state, together.run.epoch) == (State.publishing, 1)
    alone.worker().work_once()
    together.worker().work_once()
    assert together.files() == alone.files()
    assert together.run.error is None


def test_the_first_process_looks_whether_it_still_holds_the_run(
    tmp_path: Path, model: Callable[[str], Path]
):
    circle = Circle(tmp_path, model=str(model("sd")), **HERO_PLUS)
    claim = circle.store.claim("worker", 60)
    assert claim is not None
    leader = Leader(circle.settings, circle.store)
    stale = replace(claim.run, fencing_token=claim.fencing_token - 1)
    with pytest.raises(LeaseLost):
        leader.draw(stale, lambda *_: None)
    assert leader.broken
    assert circle.untouched()
    leader = Leader(circle.settings, circle.store)
    assert leader.generate(claim.run, lambda *_: None).exists()
    assert not leader.broken


@pytest.mark.parametrize(("gpus", "said"), [(1, "has 1 GPU,"), (2, "has 2 GPUs,")])
def test_fewer_gpus_than_processes_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, gpus: int, said: str
):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ProcessUnready, match=f"3 processes .*{said}.*HERO_PROCESSES to {gpus}"):
        joined().__enter__()


@pytest.mark.slow
@pytest.mark.parametrize("command", [["-m", "backend.worker"], ["-m", "backend.worker.step"]])
def test_an_environment_of_several_processes_that_is_none(tmp_path: Path, command: list[str]):
    accident: dict[str, Any] = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    env = {**os.environ, **accident, "HERO_HOME": str(tmp_path), "MASTER_ADDR": ""}
    ended = subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]
    assert "one of 2 processes" in said and "unset RANK, LOCAL_RANK and WORLD_SIZE" in said
    assert "Traceback" not in ended.stderr
