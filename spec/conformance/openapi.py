"""Checks each operation of the sidecar, the broker and the edge against its /openapi.json, on a running `exorelay dev`.

1. Every operation of a document is on the server, and every route of the source is in the document.
2. A journey with real answers: a reply, a followed message, a dead letter, a registration, a stream. Each answer must be one of
   the document's.
3. schemathesis: generated calls, good and bad ones. Endless answers are left to the journey.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

import requests
import schemathesis

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / "src"
PATIENCE_S = 20
METHODS = ("get", "head", "put", "post", "delete", "patch")

# A dead letter is made by following a message and not acknowledging it. Generated messages wait for a follower for long.
SETTINGS = {
    "EXORELAY__RELAY__SUBSCRIBER_LEASE_MS": "2000",
    "EXORELAY__RELAY__SUBSCRIBER_DELIVERIES_MAX": "1",
    "EXORELAY__RELAY__READY_WAIT_MAX_MS": "86400000",
}

# Operations that schemathesis does not call: they do not end, or take any method as the original did.
LEFT_OUT = {"api": {"follow"}, "broker": {"traffic", "configuration"}, "edge": set()}


class Findings:
    """What is wrong, by operation such as `api POST /send/{message}`."""

    def __init__(self):
        self.wrong = {}

    def checked(self, operation):
        self.wrong.setdefault(operation, [])

    def add(self, operation, what):
        self.wrong.setdefault(operation, []).append(what)

    def report(self):
        """Prints every operation and the counts. Answers the exit status."""
        for operation, wrong in sorted(self.wrong.items()):
            print(f"{'FAILED' if wrong else 'ok    '} {operation}")
            for what in wrong:
                print(f"         {what}")
        failed = sum(1 for wrong in self.wrong.values() if wrong)
        print(f"{len(self.wrong) - failed} passed, {failed} failed")
        return 1 if failed or not self.wrong else 0


def start_server(folder):
    """Starts `exorelay dev` on free ports. Answers the process and the URLs of its listeners, by system."""
    command = [os.environ["EXORELAY_BIN"], "dev"]
    for flag in ("--listen", "--api", "--edge", "--broker"):
        command += [flag, "127.0.0.1:0"]
    log = open(Path(folder) / "log", "w")
    server = subprocess.Popen(command, cwd=folder, env=SETTINGS, stdout=subprocess.PIPE, stderr=log, text=True)
    urls = {}
    while not {"api", "listen", "broker", "edge"} <= urls.keys():
        line = server.stdout.readline()
        if not line:
            sys.exit(f"exorelay ended: {(Path(folder) / 'log').read_text()}")
        if line.startswith("{"):
            ready = json.loads(line)
            urls[ready["system"]] = f"http://{ready['address']}"
    return server, urls


def documented(document):
    """Every operation of the document."""
    paths = document["paths"].items()
    return {f"{method.upper()} {path}" for path, item in paths for method in item if method in METHODS}


def routes_of(source, prefix=""):
    """Every operation that a router has, read from its source. Routes for what does not exist are left out."""
    text = (SOURCE / source).read_text()
    operations = set()
    for path, handler in re.findall(r'\.route\("([^"]+)",\s*([^\n]+)\)', text):
        chosen = re.search(rf"let {re.escape(handler)} = (.*?);\n", text, re.DOTALL) if handler.isidentifier() else None
        methods = re.findall(r"\b(get|put|post|delete|patch)\(", chosen[1] if chosen else handler)
        if "any(no_route)" in handler:
            continue
        if re.search(r"\bany\(", handler):
            methods.append("get")
        if not methods:
            sys.exit(f"{source}: cannot see which methods {path} has")
        operations |= {f"{method.upper()} {prefix}{path.replace('{*', '{')}" for method in methods}
    return operations


def routed(system):
    """Every operation of a system's routers."""
    if system == "api":
        return routes_of("api/routes.rs")
    if system == "broker":
        return routes_of("broker/routes.rs")
    paths = re.search(r"const PATHS: \[&str; \d+\] = \[(.*?)\]", (SOURCE / "app/edge/operations.rs").read_text(), re.DOTALL)
    # The guide is for people.
    operations = {f"GET {path}" for path in re.findall(r'"([^"]+)"', paths[1])} - {"GET /guide"}
    streams = (SOURCE / "streams/routes.rs").read_text()
    operations |= {f"{method} /v1/stream/{{path}}" for method in re.findall(r"Method::([A-Z]+) =>", streams)}
    return operations | routes_of("streams/subscriptions/routes.rs", "/v1/stream/__ds")


def check_existence(url, system, operations, findings):
    """Every operation of the document is answered by its route, not by the fallbacks."""
    for operation in operations:
        method, path = operation.split(" ", 1)
        with requests.request(method, url + re.sub(r"\{\w+\}", "0", path), timeout=PATIENCE_S, stream=True) as answer:
            is_problem = answer.headers.get("content-type") == "application/problem+json" and method != "HEAD"
            problem = answer.json() if is_problem else {}
        findings.checked(f"{system} {operation}")
        if answer.status_code == 405 or problem.get("detail", "").startswith(f"cannot {method} "):
            findings.add(f"{system} {operation}", f"it is in the document, and the server answers {answer.status_code}")
    with requests.get(f"{url}/zonk", timeout=PATIENCE_S) as answer:
        assert answer.json()["detail"] == "cannot GET /zonk", "the words by which a missing route is known"


def next_event(lines):
    """The next event of a stream, by field."""
    event = {}
    for line in lines:
        if line == "" and event.get("data"):
            return event
        field, colon, value = line.partition(":")
        if field and colon:
            event[field] = value.removeprefix(" ")
    raise AssertionError("the stream has ended")


class Journey:
    """Calls whose answers are known; each must also be one of the document's."""

    def __init__(self, system, url, schema, findings):
        self.system, self.url, self.schema, self.findings = system, url, schema, findings

    def call(self, operation, status, body=None, headers=None, query="", **names):
        method, path = operation.split(" ", 1)
        url = self.url + path.format(**names) + query
        data = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json", **(headers or {})} if data else headers
        answer = requests.request(method, url, data=data, headers=headers, timeout=PATIENCE_S)
        self.findings.checked(f"{self.system} {operation}")
        if answer.status_code != status:
            what = f"{method} {url}: expected {status}, got {answer.status_code} {answer.text}"
            self.findings.add(f"{self.system} {operation}", what)
        try:
            self.schema[path][method].validate_response(answer)
        except Exception as error:  # One class per kind of mismatch, each with a text.
            self.findings.add(f"{self.system} {operation}", f"{method} {url}: {error}")
        return answer

    def operations(self):
        for path in ("/health", "/ready", "/metrics", "/openapi.json"):
            self.call(f"GET {path}", 200)
        self.call("GET /metrics", 200, headers={"accept": "application/openmetrics-text"})

    def check_stream(self, operation, answer):
        method, path = operation.split(" ", 1)
        declared = self.schema[path][method].definition.raw["responses"]["200"]["content"]
        self.findings.checked(f"{self.system} {operation}")
        if answer.status_code != 200 or answer.headers["content-type"] not in declared:
            told = f"{answer.status_code} {answer.headers['content-type']}"
            self.findings.add(f"{self.system} {operation}", f"it answers {told}, the document has 200 {[*declared]}")


class Sidecar(Journey):
    def conversation(self):
        reply = self.call("POST /request/{message}", 200, {"name": "world"}, message="hello", query="?timeout=20s")
        if reply.json() != {"text": "Hello, world!"} or reply.headers.get("exo-message") != "greeting":
            self.findings.add("api POST /request/{message}", f"the greeter says {reply.text} {reply.headers}")
        for timeout in ("20", "20s", "20000ms", "1m", "1h"):
            self.call("POST /request/{message}", 200, {"name": "world"}, message="hello", query=f"?timeout={timeout}")
        self.call("POST /request/{message}", 404, message="zonk")
        self.call("POST /request/{message}", 404, message="%C3%BC%2Fx%20y")
        self.call("POST /request/{message}", 504, message="greeting", query="?timeout=10ms")
        for timeout in ("soon", "0", "2h", "-1s"):
            self.call("POST /request/{message}", 400, message="hello", query=f"?timeout={timeout}")
        self.call("POST /send/{message}", 415, {}, {"content-type": "image/png"}, message="hello")
        self.call("POST /send/{message}", 413, "x" * (1024 * 1024), message="hello")
        key = {"idempotency-key": "journey"}
        self.call("POST /send/{message}", 202, 1, key, message="greeting")
        self.call("POST /send/{message}", 422, 2, key, message="greeting")
        self.call("POST /reply/{message}", 202, 1, {"exo-response-to": "1"}, message="greeting")
        self.call("POST /reply/{message}", 400, 1, message="greeting")
        self.call("GET /dead-letters", 200, query="?limit=1&after=0")
        self.call("GET /dead-letters", 400, query="?limit=0")

    def stream(self):
        """Follows three messages: one is acknowledged, two become dead letters."""
        for number in range(3):
            self.call("POST /send/{message}", 202, number, message="greeting")
        with requests.get(f"{self.url}/messages?name=greeting", stream=True, timeout=PATIENCE_S) as answer:
            lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
            event = next_event(lines)
            self.check_stream("GET /messages", answer)
            envelope = json.loads(event["data"])
            missing = {"id", "name", "activityId"} - envelope.keys()
            if missing or event.get("event") != "message" or envelope["id"] != event["id"]:
                self.findings.add("api GET /messages", f"the event is {event}")
            self.call("POST /messages/{id}/ack", 204, id=event["id"])
            self.call("POST /messages/{id}/ack", 404, id=event["id"])
            event = next_event(lines)
            self.call("POST /messages/{id}/retry", 204, id=event["id"])
            self.call("POST /messages/{id}/retry", 404, id=event["id"])
            self.dead_letters()

    def dead_letters(self):
        """Tries one again and throws one away."""
        deadline = time.monotonic() + PATIENCE_S
        letters = []
        while len(letters) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            letters = self.call("GET /dead-letters", 200).json()
        if len(letters) < 2:
            self.findings.add("api GET /dead-letters", f"two messages were not acknowledged, and it has {letters}")
            return
        first, second = (letter["id"] for letter in letters[:2])
        self.call("POST /dead-letters/{id}/replay", 202, id=first)
        self.call("POST /dead-letters/{id}/replay", 404, id=first)
        self.call("DELETE /dead-letters/{id}", 204, id=second)
        self.call("DELETE /dead-letters/{id}", 404, id=second)

    parts = (Journey.operations, conversation, stream)


class Broker(Journey):
    def services(self):
        self.call("GET /config.json", 200)
        self.call("GET /services", 200)
        registration = {"instance": "journey-1", "port": 9, "receives": ["journey"], "sends": ["greeting"]}
        self.call("PUT /services/{role}", 200, registration, role="journey")
        self.call("PUT /services/{role}", 400, registration, role="another")
        self.call("PUT /services/{role}", 400, {"instance": "journey-1"}, role="journey")
        self.call("PUT /services/{role}", 415, {}, {"content-type": "image/png"}, role="journey")
        self.call("POST /services", 400, [1])

    def messages(self):
        message = {"id": "journey-1", "sender": "journey", "activityId": "journey", "payload": 1}
        self.call("POST /send/{message}", 200, message, {"exo-instance": "journey-1"}, message="greeting")
        self.call("POST /send/{message}", 404, {**message, "id": "2"}, message="zonk")
        self.call("POST /send/{message}", 409, message, {"exo-instance": "nobody"}, message="greeting")
        self.call("POST /send/{message}", 400, {}, message="greeting")
        self.call("POST /send", 200, [{**message, "id": "3", "name": "greeting"}])
        self.call("POST /send", 409, [], {"exo-instance": "nobody"})
        self.call("GET /undelivered", 200)
        self.call("GET /activities/{id}", 200, id="journey")
        self.call("GET /activities/{id}", 404, id="nothing")
        self.call("GET /traffic", 403, query="?payloads=true")
        with requests.get(f"{self.url}/traffic", stream=True, timeout=PATIENCE_S) as answer:
            self.check_stream("GET /traffic", answer)
        self.call("DELETE /services/{role}", 204, query="?instance=journey-1", role="journey")
        self.call("DELETE /services/{role}", 404, query="?instance=journey-1", role="journey")
        self.call("DELETE /services/{role}", 400, role="journey")

    parts = (Journey.operations, services, messages)


class Edge(Journey):
    def streams(self):
        stream, path = "/v1/stream/{path}", {"path": "journey"}
        self.call(f"GET {stream}", 404, **path)
        self.call(f"PUT {stream}", 201, [1], **path)
        self.call(f"PUT {stream}", 200, headers={"content-type": "application/json"}, **path)
        self.call(f"PUT {stream}", 409, headers={"content-type": "text/plain"}, **path)
        self.call(f"POST {stream}", 204, 2, **path)
        producer = {"producer-id": "journey", "producer-epoch": "0", "producer-seq": "0"}
        self.call(f"POST {stream}", 200, 3, producer, **path)
        self.call(f"POST {stream}", 409, 3, {**producer, "producer-seq": "5"}, **path)
        self.call(f"POST {stream}", 400, 3, {"producer-id": "journey"}, **path)
        self.call(f"HEAD {stream}", 200, **path)
        read = self.call(f"GET {stream}", 200, query="?offset=-1", **path)
        if read.json() != [1, 2, 3]:
            self.findings.add(f"edge GET {stream}", f"it has {read.text}")
        self.call(f"GET {stream}", 400, query="?live=long-poll", **path)
        with requests.get(f"{self.url}/v1/stream/journey?offset=-1&live=sse", stream=True, timeout=PATIENCE_S) as answer:
            if answer.headers["content-type"] != "text/event-stream":
                self.findings.add(f"edge GET {stream}", f"events are {answer.headers['content-type']}")
        self.call(f"POST {stream}", 204, headers={"stream-closed": "true"}, **path)
        self.call(f"POST {stream}", 409, 4, **path)
        self.call(f"DELETE {stream}", 204, **path)
        self.call(f"DELETE {stream}", 404, **path)

    def subscriptions(self):
        root, name = "/v1/stream/__ds/subscriptions/{id}", {"id": "journey"}
        self.call("GET /v1/stream/__ds/jwks.json", 200)
        self.call(f"GET {root}", 404, **name)
        self.call("PUT /v1/stream/{path}", 201, [], path="wakes")
        self.call("PUT /v1/stream/{path}", 201, [], path="orders")
        terms = {"type": "pull-wake", "wake_stream": "wakes", "streams": ["orders"]}
        self.call(f"PUT {root}", 201, terms, **name)
        self.call(f"PUT {root}", 200, terms, **name)
        self.call(f"PUT {root}", 400, {"type": "letter"}, **name)
        self.call(f"PUT {root}", 409, {**terms, "streams": ["others"]}, **name)
        self.call(f"GET {root}", 200, **name)
        self.call(f"POST {root}/streams", 204, {"streams": ["more"]}, **name)
        self.call(f"DELETE {root}/streams/{{path}}", 204, path="more", **name)
        self.call(f"POST {root}/claim", 409, {"worker": "w"}, **name)
        self.call("POST /v1/stream/{path}", 204, 1, path="orders")
        wake = self.call(f"POST {root}/claim", 200, {"worker": "w"}, **name).json()
        held = {"wake_id": wake.get("wake_id", ""), "generation": wake.get("generation", 0)}
        token = {"authorization": f"Bearer {wake.get('token', '')}"}
        self.call(f"POST {root}/ack", 401, held, {"authorization": "Bearer nonsense"}, **name)
        self.call(f"POST {root}/ack", 200, {**held, "acks": []}, token, **name)
        self.call(f"POST {root}/callback", 400, held, {"authorization": "Bearer nonsense"}, **name)
        self.call(f"POST {root}/release", 204, held, token, **name)
        self.call(f"DELETE {root}", 204, **name)

    parts = (Journey.operations, streams, subscriptions)


def generated_calls(system, url, document, findings):
    """Runs schemathesis on everything that ends."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{url}/openapi.json", "--url", url, "--checks", "all"]
        for name in sorted(LEFT_OUT[system]):
            command += ["--exclude-operation-id", name]
        command += ["--phases", "coverage,fuzzing", "--max-examples", "50", "--workers", "1", "--no-color"]
        # The same calls in every run, so that a change is refused for what it does; another SEED tries others.
        command += ["--seed", os.environ.get("SEED", "1"), "--generation-database", "none", "--warnings", "off"]
        command += ["--report", "junit", "--report-junit-path", report]
        ended = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not report.exists():
            sys.exit(ended.stdout)
        cases = {case.get("name"): case for case in xml.etree.ElementTree.parse(report).iter("testcase")}
    if ended.returncode != 0:
        print(ended.stdout)
    for operation, case in cases.items():
        findings.checked(f"{system} {operation}")
        for kind in ("failure", "error"):
            for wrong in case.iter(kind):
                text = (wrong.text or wrong.get("message") or kind).strip().replace("\n", "\n         ")
                findings.add(f"{system} {operation}", text)
    paths = document["paths"].items()
    left_out = {f"{method.upper()} {path}" for path, item in paths for method, operation in item.items()
                if method in METHODS and operation["operationId"] in LEFT_OUT[system]}
    # It fetches the document itself, and so does not count that as an operation.
    for operation in documented(document) - cases.keys() - left_out - {"GET /openapi.json"}:
        findings.add(f"{system} {operation}", "schemathesis has not called it")


def main():
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        server, urls = start_server(folder)
        try:
            # The broker last: generated landscapes and registrations change who receives what.
            for system, journey in (("api", Sidecar), ("edge", Edge), ("broker", Broker)):
                url = urls[system]
                document = requests.get(f"{url}/openapi.json", timeout=PATIENCE_S).json()
                operations = documented(document)
                for operation in routed(system) - operations:
                    findings.add(f"{system} {operation}", "it is a route, and not in the document")
                for operation in operations - routed(system):
                    findings.add(f"{system} {operation}", "it is in the document, and no route")
                check_existence(url, system, operations, findings)
                known = journey(system, url, schemathesis.openapi.from_dict(document), findings)
                for part in journey.parts:
                    part(known)
                generated_calls(system, url, document, findings)
                if server.poll() is not None:
                    findings.add(f"{system} GET /health", f"the server ended: {(Path(folder) / 'log').read_text()}")
        finally:
            server.kill()
            server.wait()
    return findings.report()


sys.exit(main())
