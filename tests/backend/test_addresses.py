"""Where other programs stand, and how they are asked."""

from pathlib import Path

import httpx
import pytest

from backend.addresses import below, client, is_this_machine, path_of
from tests.backend.authority import serve_https


@pytest.mark.parametrize(
    ("base", "path", "address"),
    [
        ("https://host", "/api/x", "https://host/api/x"),
        ("https://host/ls", "/api/x", "https://host/ls/api/x"),
        ("https://host/ls", "/ls/api/x", "https://host/ls/api/x"),
        ("https://host/ls", "/lsd/x", "https://host/ls/lsd/x"),
        ("http://[::1]:8080/a/b/", "/user/?t=1", "http://[::1]:8080/a/b/user/?t=1"),
    ],
)
def test_a_path_stands_below_its_server_once(base: str, path: str, address: str):
    assert below(base, path) == address


def test_the_path_of_a_server():
    assert (path_of("https://host"), path_of("https://host/ls/")) == ("", "/ls")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80/x", True),
        ("http://localhost", True),
        ("http://a.localhost", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example.com", False),
        ("", False),
    ],
)
def test_this_machine(url: str, own: bool):
    assert is_this_machine(url) is own


def test_a_proxy_is_for_others_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with client("http://127.0.0.1:1") as own, client("http://studio.example") as other:
        with pytest.raises(httpx.ConnectError):
            own.get("http://127.0.0.1:1/")
        assert not [t for t in own._mounts.values() if t is not None]
        assert [t for t in other._mounts.values() if t is not None]


def test_an_authority_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with serve_https(tmp_path) as (url, authority):
        with client(url) as asking, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY"):
            asking.get(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        with client(url) as asking:
            assert asking.get(url).text == "hello"
