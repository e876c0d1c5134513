"""docker-compose.yml's services as processes of this machine.

Commands, variables, health checks and the order of starting are read from the file (and from the
Dockerfile, which the backend's image is made by); only host names, ports and the paths of volumes
are replaced.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from dotenv import dotenv_values

from backend.local import processes
from backend.local.processes import Child
from tests.compose import COMPOSE, ROOT, filled_env, parsed
from tests.postgres import Postgres

PORTS = ("5432", "8080", "9090")
HOSTS = ("backend.hero", "label-studio", "db", "localhost", "0.0.0.0", "192.168.1.20")
BY_OUR_DOCKERFILE = ("backend", "worker")
HEALTHY_WITHIN_SECONDS = 400


class Topology:
    """The services of docker-compose.yml; `start` them, and end them by leaving the block."""

    def __init__(self, folder: Path) -> None:
        self.env = dotenv_values(filled_env(folder))
        self._file = parsed(folder, COMPOSE)
        self.services: dict[str, Any] = self._file["services"]
        self.folder = folder
        self.children: dict[str, Child] = {}
        self._ports = {port: str(processes.free_port()) for port in PORTS}
        self._dockerfile = (ROOT / "Dockerfile").read_text()
        self._exit = ExitStack()
        self._postgres: Postgres | None = None
        self.volumes = folder / "volumes"

    def __enter__(self) -> "Topology":
        return self

    def __exit__(self, *error: object) -> None:
        processes.stop(list(self.children.values()))
        self._exit.close()

    def start(self) -> None:
        """Each service that does not run, as soon as those that it depends on are healthy."""
        waiting = {name: service for name, service in self.services.items() if not self._runs(name)}
        while waiting:
            name = next(
                name
                for name, service in waiting.items()
                if not waiting.keys() & service.get("depends_on", {}).keys()
            )
            service = waiting.pop(name)
            assert all(
                on["condition"] == "service_healthy"
                for on in service.get("depends_on", {}).values()
            )
            self.start_alone(name)

    def start_alone(self, name: str) -> None:
        """One service, whatever it depends on."""
        service = self.services[name]
        if name == "db":
            self._start_database(service)
        else:
            command = self.here(service.get("command") or self._image_command())
            log = self.folder / f"{name}.log"
            child = Child(name, command, self.environment(name), log, self.folder)
            self.children[name] = child
            child.start()
        self._wait_until_healthy(name)

    def down(self) -> None:
        """End all services, and delete what is in their volumes."""
        processes.stop(list(self.children.values()))
        self.children.clear()
        self._exit.close()
        shutil.rmtree(self.volumes)

    def _runs(self, name: str) -> bool:
        if name == "db":
            return self._postgres is not None
        return name in self.children and self.children[name].alive

    def run(self, service: str, *command: str) -> str:
        """`docker compose exec SERVICE COMMAND`; what it prints."""
        return self.pipe(service, command, b"").decode()

    def pipe(self, service: str, command: Sequence[str], said: bytes) -> bytes:
        """`docker compose exec -T SERVICE COMMAND`, with its standard input and output."""
        answer = subprocess.run(
            self.here(list(command)),
            input=said,
            env=self._inside(service),
            capture_output=True,
            cwd=self.folder,
        )
        assert answer.returncode == 0, (answer.stdout + answer.stderr).decode(errors="replace")
        return answer.stdout

    def environment(self, name: str) -> dict[str, str]:
        """The variables that the service's container has."""
        env = {key: os.environ[key] for key in ("HOME", "LANG") if key in os.environ}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if name in BY_OUR_DOCKERFILE:
            env["PYTHONPATH"] = str(ROOT)
            (line,) = re.findall(r"^ENV (.*)$", self._dockerfile, re.M)
            env |= dict(pair.split("=", 1) for pair in self.here(line.split()))
        service = self.services[name]
        values = {key: str(value) for key, value in service["environment"].items()}
        mounted = [each.split(":") for each in service["volumes"] if str(each).startswith("./")]
        from_checkout = {target: str(ROOT / source) for source, target, _ in mounted}
        return env | {
            key: from_checkout.get(value) or self.here([value])[0] for key, value in values.items()
        }

    def _inside(self, name: str) -> dict[str, str]:
        """The variables of a program that is started in the service's container."""
        env = self.environment(name)
        if name == "db" and self._postgres is not None:
            env["PATH"] = f"{self._postgres.binaries}:{env['PATH']}"
            env |= {"PGHOST": "127.0.0.1", "PGPORT": self._ports["5432"]}
            env["PGPASSWORD"] = env["POSTGRES_PASSWORD"]
        return env

    def here(self, words: list[str]) -> list[str]:
        """Hosts, ports and volumes of the containers, as those of this machine."""
        return [self._here(word) for word in words]

    def url(self, port: str) -> str:
        """Where a person finds the service that listens on a port of its container."""
        return f"http://127.0.0.1:{self._ports[port]}"

    def _here(self, text: str) -> str:
        if text == "db":
            return "127.0.0.1"
        hosts = "|".join(re.escape(host) for host in HOSTS)
        text = re.sub(rf"\b({hosts})(?=:\d)", "127.0.0.1", text)
        text = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self._ports[port[0]], text)
        for path in ("/data/hero", "/label-studio/data"):
            text = text.replace(path, str(self.volumes / path.strip("/")))
        return text

    def _image_command(self) -> list[str]:
        (line,) = re.findall(r"^CMD (.*)$", self._dockerfile, re.M)
        return json.loads(line)

    def _start_database(self, service: dict[str, Any]) -> None:
        env = service["environment"]
        assert env["POSTGRES_USER"] == "hero"
        server = Postgres(password=env["POSTGRES_PASSWORD"], port=int(self._ports["5432"]))
        self._exit.callback(self._stop_database, server)
        self._postgres = server
        with psycopg.connect(
            host="127.0.0.1", port=self._ports["5432"], user="hero", dbname="postgres",
            password=env["POSTGRES_PASSWORD"], autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(f"CREATE DATABASE {env['POSTGRES_DB']}")
            for config in service["configs"]:
                connection.execute(self._file["configs"][config["source"]]["content"])

    def _stop_database(self, server: Postgres) -> None:
        server.stop()
        self._postgres = None

    def _wait_until_healthy(self, name: str) -> None:
        kind, *check = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        env = self._inside(name)
        child = self.children.get(name)
        assert processes.wait_until(
            lambda: subprocess.run(self.here(check), env=env, capture_output=True).returncode == 0,
            seconds=HEALTHY_WITHIN_SECONDS,
            alive=lambda: child is None or child.alive,
        ), child and child.last_words()
