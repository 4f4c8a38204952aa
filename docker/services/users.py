"""The users service: stores users in memory. It does not know about the bus, only its sidecar does.

The sidecar posts each message to /run/<name>. The response may contain a reply, which the sidecar sends as the answer to
that message.
Settings: PORT (3001; 0 takes a free one), HOST (127.0.0.1; 0.0.0.0 in a container).
"""

import itertools
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 1024 * 1024
ids = itertools.count(1)


def create_user(payload):
    name = payload.get("name") if isinstance(payload, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("the payload needs a name, like {\"name\":\"Will Riker\"}")
    return {"name": "users.created", "payload": {"id": next(ids), "name": name}}


HANDLERS = {"/run/users.create": create_user}


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds until an idle connection is closed
    wbufsize = -1  # send headers and body in one packet

    def do_POST(self):
        try:
            message = self.message()
        except (ValueError, RecursionError) as error:
            self.close_connection = True  # the body may be unread
            return self.answer(400, {"error": str(error)})
        handler = HANDLERS.get(self.path)
        if not handler:
            return self.answer(404, {"error": f"unknown message: {self.path}"})
        try:
            self.answer(200, {"reply": handler(message.get("payload"))})
        except ValueError as error:
            self.answer(400, {"error": str(error)})

    def do_GET(self):
        self.answer(405, {"error": "messages are posted"})

    do_HEAD = do_PUT = do_DELETE = do_GET

    def message(self):
        """Returns the message in the body: {"id", "name", "payload", "sender", "activityId", "responseTo"}."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
            raise ValueError(f"a body has a content-length of at most {BODY_BYTES_MAX} bytes")
        message = json.loads(self.rfile.read(int(length)))
        if not isinstance(message, dict) or not message.get("id"):
            raise ValueError("missing message id")
        return message

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass  # the sidecar logs every message


if __name__ == "__main__":
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "3001"))
    server = ThreadingHTTPServer((host, port), Webhook)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"users service ready on {host}:{server.server_port}", flush=True)
    server.serve_forever()
