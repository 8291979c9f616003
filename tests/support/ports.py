"""Free ports for servers that need one."""

import socket
from contextlib import closing


def find_port() -> int:
    """Return a free port of this machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])
