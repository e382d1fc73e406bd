"""One POST to one endpoint: to the address that was judged, within a time that holds as a whole.

No redirect is followed: where an endpoint moved to, a person enters, and it is judged like any other.
"""

import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from handoff.endpoints import addresses
from handoff.endpoints.addresses import Place, Refused

READ_BYTES = 2_000
KEPT_CHARACTERS = 500
AGENT = "LeadFlow-Webhook/1"


@dataclass(frozen=True)
class Reply:
    """What came back: the status, or None with the reason in words."""

    status: int | None
    text: str
    took_ms: int = 0

    @property
    def ok(self) -> bool:
        """Whether the message has arrived: any 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def words(self) -> str:
        """For a person: "answered 500: out of order"."""
        if self.status is None:
            return self.text
        return f"answered {self.status}{f': {self.text}' if self.text else ''}"


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256, in hex, of the timestamp (seconds), a dot, and the body as sent."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
    """Send it; never raises, and is over after `seconds` (the resolver's own patience aside)."""
    began = time.monotonic()
    try:
        place = addresses.read(url)
        numbers = addresses.resolve(place)
        status, text = _exchange(place, numbers[0], body, headers, began + seconds)
    except Refused as no:
        return Reply(None, f"not sent: {no}", _since(began))
    except ssl.SSLError as problem:
        return Reply(None, f"no safe connection: {problem.reason or problem}", _since(began))
    except TimeoutError:
        return Reply(None, f"no answer within {max(1, round(seconds))} s", _since(began))
    except (OSError, http.client.HTTPException, ValueError) as problem:
        late = time.monotonic() - began >= seconds
        words = f"no answer within {max(1, round(seconds))} s" if late else f"not reached: {_plain(problem)}"
        return Reply(None, words, _since(began))
    if 300 <= status < 400:
        text = "it redirects; enter the address that it leads to"
    return Reply(status, text, _since(began))


def _exchange(
    place: Place, number: str, body: bytes, headers: Mapping[str, str], until: float
) -> tuple[int, str]:
    line = _Line(place, number, until)
    # A server that sends a byte now and then keeps every single read in time: the whole has an end, too.
    end = threading.Timer(max(0.0, until - time.monotonic()), line.cut)
    end.daemon = True
    end.start()
    try:
        line.request("POST", place.path, body, {"User-Agent": AGENT, "Connection": "close", **headers})
        answer = line.getresponse()
        text = answer.read(READ_BYTES).decode("utf-8", "replace")
        if time.monotonic() >= until:
            raise TimeoutError
        return answer.status, " ".join(text.replace("\x00", "").split())[:KEPT_CHARACTERS]
    finally:
        end.cancel()
        line.close()


class _Line(http.client.HTTPConnection):
    """A connection to the number that was judged; the name stays in `Host` and in the certificate."""

    def __init__(self, place: Place, number: str, until: float) -> None:
        super().__init__(place.host, place.port)
        self.default_port = 443 if place.scheme == "https" else 80
        self._number, self._until, self._safe = number, until, place.scheme == "https"
        # Kept beside `sock`, which is dropped as soon as the head of an answer is read.
        self._held: socket.socket | None = None

    def connect(self) -> None:
        """Open it, with TLS for https. Raises OSError."""
        left = max(0.05, self._until - time.monotonic())
        self.sock = socket.create_connection((self._number, self.port), left)
        if self._safe:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
        self._held = self.sock

    def cut(self) -> None:
        """End it from another thread: whoever reads from it stops waiting."""
        if self._held is not None:
            with contextlib.suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)


def _plain(problem: Exception) -> str:
    words = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return str(words)[:200]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
