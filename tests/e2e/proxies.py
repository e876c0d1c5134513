"""A proxy on the way out of a network: SOCKS 5 (RFC 1928) or HTTP's CONNECT (RFC 9110, 9.3.6)."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Literal

Kind = Literal["socks5", "http"]


@contextmanager
def proxy(kind: Kind, known: Mapping[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the list of the hosts that it was asked for.

    Args:
        known: hosts that only the proxy can find, by the port of this machine where each of them
            is. It finds no others.
    """
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            host = _socks(self) if kind == "socks5" else _connect(self)
            asked.append(host)
            if host in known:
                with socket.create_connection(("127.0.0.1", known[host])) as there:
                    self._said(found=True)
                    _pump(self.connection, there)
            else:
                self._said(found=False)

        def _said(self, *, found: bool) -> None:
            if kind == "socks5":
                code = 0 if found else 4  # host unreachable
                self.wfile.write(bytes([5, code, 0, 1]) + bytes(6))
            else:
                status = b"200 OK" if found else b"502 Bad Gateway"
                self.wfile.write(b"HTTP/1.1 " + status + b"\r\n\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{kind}://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def _socks(request: socketserver.StreamRequestHandler) -> str:
    _, methods = request.rfile.read(2)
    request.rfile.read(methods)
    request.wfile.write(b"\x05\x00")  # no password
    _, _, _, kind = request.rfile.read(4)
    length = {1: 4, 4: 16}.get(kind) or request.rfile.read(1)[0]
    host = request.rfile.read(length)
    struct.unpack("!H", request.rfile.read(2))
    return host.decode() if kind == 3 else f"address {host.hex()}"


def _connect(request: socketserver.StreamRequestHandler) -> str:
    method, _, rest = request.rfile.readline().decode().partition(" ")
    while request.rfile.readline().strip():
        pass
    return rest.rpartition(":")[0] if method == "CONNECT" else f"{method} {rest}"


def _pump(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
