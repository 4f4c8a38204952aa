"""A users service as written in 2016, which still works: it answers a message at once, then posts its reply.

The relay of that time was a library, so the service itself posts to ExoCom under its own name.
Settings: SERVICE_NAME, EXORELAY_PORT (where messages arrive; 0 takes a free one), EXOCOM_PORT.
"""

import itertools
import json
import os
import signal
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

BODY_BYTES_MAX = 100 * 1024
REPLY_WAIT_SECONDS = 5
ids = itertools.count(1)


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds until an idle connection is closed
    wbufsize = -1  # send headers and body in one packet

    def do_GET(self):
        self.answer(200 if self.path == "/status" else 404)

    def do_HEAD(self):
        self.answer(405)

    def do_POST(self):
        message = self.message()
        if not message.get("id"):
            self.close_connection = True  # the body may be unread
            return self.answer(400, "missing message id")
        if self.path != "/run/users.create":
            return self.answer(404, f"unknown message: '{self.path.removeprefix('/run/')}'")
        payload = message.get("payload")
        if not isinstance(payload, dict) or not payload.get("name"):
            return self.answer(400, "missing name")
        self.answer(200)
        send("users.created", {"id": next(ids), "name": payload["name"]}, message["id"])

    def message(self):
        """Returns the message in the body: {"id", "payload", "responseTo"}; an empty one if it is malformed."""
        try:
            length = int(self.headers.get("content-length", ""))
            message = json.loads(self.rfile.read(length)) if 0 <= length <= BODY_BYTES_MAX else {}
        except (ValueError, RecursionError):
            return {}
        return message if isinstance(message, dict) else {}

    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()  # so that the sender does not wait until the reply is sent

    def log_message(self, *_):
        pass


def send(name, payload, response_to):
    """Sends a reply through ExoCom. Like the original, it does not retry."""
    message = {"sender": SERVICE_NAME, "id": str(uuid.uuid1()), "payload": payload, "responseTo": response_to}
    url = f"http://localhost:{EXOCOM_PORT}/send/{name}"
    try:
        request = Request(url, json.dumps(message).encode(), {"content-type": "application/json"})
        urlopen(request, timeout=REPLY_WAIT_SECONDS).close()
    except OSError as error:
        print(f"cannot send {name}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    SERVICE_NAME, EXOCOM_PORT = os.environ["SERVICE_NAME"], os.environ["EXOCOM_PORT"]
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["EXORELAY_PORT"])), Relay)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{SERVICE_NAME} online at port {server.server_port}", flush=True)
    server.serve_forever()
