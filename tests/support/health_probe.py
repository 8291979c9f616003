"""Ask ``/health`` of the server at the given URL until the standard input ends, and print the
slowest answer in seconds, 60 if there was none: a process of its own, so that a busy test is not
taken for a slow server."""

import sys
import threading
import time
from urllib.error import HTTPError
from urllib.request import urlopen

PAUSE_SECONDS, TIMEOUT_SECONDS = 0.25, 60.0


def main(url: str) -> None:
    """Ask and print."""
    over, slowest = threading.Event(), 0.0

    def wait_for_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    while not slowest or not over.wait(PAUSE_SECONDS):
        slowest = max(slowest, time_answer(f"{url}/health"))
    print(slowest)


def time_answer(url: str) -> float:
    """Return the seconds that an answer takes, whatever its status."""
    begun = time.monotonic()
    try:
        urlopen(url, timeout=TIMEOUT_SECONDS).read()
    except HTTPError:
        pass
    except OSError:
        return TIMEOUT_SECONDS
    return time.monotonic() - begun


if __name__ == "__main__":
    main(sys.argv[1])
