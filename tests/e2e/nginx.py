"""A real nginx before a test's servers."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from backend.local.processes import Child, stop, wait_until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PAGE = Path(__file__).parents[2] / "docs" / "teams.md"
NAME = "studio.example"
"""The server's name in the configuration of the page."""
_AROUND = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}
}}
"""


@contextmanager
def nginx(folder: Path, servers: str, ports: set[int]) -> Iterator[Path]:
    """It serves these `server` blocks; gives its access log.

    Args:
        ports: at which they listen.
    """
    if NGINX is None:
        pytest.skip("no nginx here: install the package nginx-light")
    folder.mkdir(parents=True)
    file = folder / "nginx.conf"
    file.write_text(_AROUND.format(folder=folder, servers=servers))
    command = [NGINX, "-c", str(file), "-p", str(folder), "-e", str(folder / "error.log")]
    child = Child("nginx", command, {}, folder / "nginx.log", folder)
    child.start()
    try:
        listening = wait_until(
            lambda: ports <= child.listening_ports(), seconds=30, alive=lambda: child.alive
        )
        assert listening, child.last_words() + (folder / "error.log").read_text()
        yield folder / "access.log"
    finally:
        stop([child])


def of_the_page(folder: Path, *, https: int, label_studio: int, backend: int) -> str:
    """The server block of docs/teams.md, at ports of this machine, with a certificate of a private
    authority (`authority.pem` in the folder)."""
    [block] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.S)
    authority = trustme.CA()
    certificate = authority.issue_cert(NAME, "127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(folder / "studio.pem"), append=True)
    certificate.private_key_pem.write_to_path(str(folder / "studio.key"))
    for said, here in {
        "listen 443": f"listen 127.0.0.1:{https}",
        "/etc/ssl/": f"{folder}/",
        "127.0.0.1:8080": f"127.0.0.1:{label_studio}",
        "127.0.0.1:9090": f"127.0.0.1:{backend}",
    }.items():
        assert said in block
        block = block.replace(said, here)
    return block


def plain(listen: str, upstream: int, *, path: str = "/") -> str:
    """A server block without TLS."""
    return f"""
server {{
  listen {listen};
  proxy_set_header Host $http_host;
  location {path} {{ proxy_pass http://127.0.0.1:{upstream}/; }}
}}"""
