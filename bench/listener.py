"""A bare psycopg listener, for bench/latency.py.

python bench/listener.py CONNINFO CHANNEL prints a line when it listens; then, for each line on
stdin, what it has received since the last: notices, and how old they were in ms. A notice says when
it was sent (nanoseconds).
"""

import json
import sys
import threading
import time
from array import array
from statistics import quantiles

import psycopg

latencies = array("d")


def listen(conninfo: str, channel: str) -> None:
    """Note how old each notice is when it comes."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"LISTEN {channel}".encode())
        print("listening", flush=True)
        for notice in connection.notifies():
            latencies.append((time.monotonic_ns() - int(notice.payload)) / 1e6)


if __name__ == "__main__":
    threading.Thread(target=listen, args=sys.argv[1:3], daemon=True).start()
    for _ in sys.stdin:
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
        print(json.dumps({"events": len(latencies), "p50": cuts[49], "p99": cuts[98]}), flush=True)
        del latencies[:]
