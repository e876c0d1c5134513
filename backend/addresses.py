"""Addresses of other programs, and how they are asked: the one place that makes HTTP clients.

`SSL_CERT_FILE` and `SSL_CERT_DIR` name a private authority, `HTTPS_PROXY` and `ALL_PROXY` a proxy
(SOCKS too) and `NO_PROXY` where it is not used. This machine itself is never asked by a proxy.
"""

import ipaddress
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx


def client(url: str, **options: Any) -> httpx.Client:
    """An HTTP client for the program at `url`; `options` are httpx's."""
    own = is_this_machine(url)
    verify = ssl.create_default_context() if own and url.startswith("https:") else True
    return httpx.Client(trust_env=not own, verify=verify, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """One GET of an address."""
    with client(url, timeout=options.pop("timeout", 30)) as asking:
        return asking.get(url, **options)


def is_this_machine(url: str) -> bool:
    """Whether an address is this machine for whoever opens it."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def at(host: str, port: int) -> str:
    """The address of a server here that listens on a host, such as `127.0.0.1` or `::1`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = everywhere.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def below(base: str, path: str) -> str:
    """The address of a path at a server that may stand below a path itself (`https://host/ls`).

    A path that begins with the server's own, as Label Studio's pages say it, is taken as it is.
    """
    parts = urlsplit(base)
    prefix = parts.path.rstrip("/")
    if path == prefix or path.startswith(f"{prefix}/"):
        prefix = ""
    return f"{parts.scheme}://{parts.netloc}{prefix}{path}"


def path_of(base: str) -> str:
    """The path below which a server stands; empty for one at the root."""
    return urlsplit(base).path.rstrip("/")
