"""A TCP proxy that breaks connections at random, as a phone's network does."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LONGEST = 45_000
"""So many bytes pass at the most before a cut: a report fits, so that it can come through."""


@contextmanager
def cutting(address: tuple[str, int], seed: int, cuts: int) -> Iterator[tuple[int, list[int]]]:
    """Run a proxy before ``address``. It cuts ``cuts`` answers after 1.5 to 45 KB, half of them by
    a reset. Yields its port, and the list of the cuts so far."""
    chance, made = random.Random(seed), list[int]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    limit = chance.randrange(1500, LONGEST) if len(made) < cuts else None
                    arguments = (client, address, limit, chance.random() < 0.5, made)
                    threading.Thread(target=_pass, args=arguments, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], made
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _pass(
    client: socket.socket,
    address: tuple[str, int],
    limit: int | None,
    is_reset: bool,
    made: list[int],
) -> None:
    with client, suppress(OSError), socket.create_connection(address) as server:
        upward = threading.Thread(target=_copy, args=(client, server), daemon=True)
        upward.start()
        passed = 0
        while data := server.recv(4096):
            if limit is not None and passed + len(data) > limit:
                client.sendall(data[: limit - passed])
                made.append(limit)
                if is_reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # while a thread waits in recv, the kernel keeps a closed socket open
                client.shutdown(socket.SHUT_RD if is_reset else socket.SHUT_RDWR)
                upward.join()
                return
            client.sendall(data)
            passed += len(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
