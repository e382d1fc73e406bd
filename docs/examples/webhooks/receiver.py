"""A receiver for LeadFlow's webhooks that needs nothing but Python: it checks the signature, then prints.

    LEADFLOW_SECRET=lfwh_… python receiver.py 8080

Put it behind https at a public address and enter that under Settings → Messages out → Webhook.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

# Older than this is a copy that somebody else sends again.
OLDEST_SECONDS = 300


def is_genuine(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether the body came from who knows the secret, and lately.

    The signature is HMAC-SHA256 over the timestamp, a dot and the body exactly as it came: check it before
    you parse anything.
    """
    if not timestamp.isdigit() or abs(now - int(timestamp)) > OLDEST_SECONDS:
        return False
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v1={expected}".encode(), signature.encode())


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, 401 to the rest."""

    secret = ""
    # A message may come twice (an answer that got lost): its id tells. Keep these where your data are.
    seen: set[str] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stamp = self.headers.get("LeadFlow-Timestamp", "")
        if not is_genuine(self.secret, stamp, self.headers.get("LeadFlow-Signature", ""), body, time.time()):
            self.send_response(401)
            self.end_headers()
            return
        message = json.loads(body)
        if message["id"] not in self.seen:
            self.seen.add(message["id"])
            self.take(message)
        # Answer within five seconds; do the long work afterwards.
        self.send_response(204)
        self.end_headers()

    def take(self, message: dict) -> None:
        """What you do with it."""
        lead = message["data"].get("lead", {})
        sys.stdout.write(f"{message['at']} {message['event']} {lead.get('email', '')}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Receiver.secret = os.environ["LEADFLOW_SECRET"]
    HTTPServer(("", int(sys.argv[1]) if len(sys.argv) > 1 else 8080), Receiver).serve_forever()
