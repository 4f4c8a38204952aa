"""Checks each operation of the service-facing listener against /openapi.json, on a running `exorelay dev`.

1. Every operation of the document is on the server, and every route of src/api/routes.rs is in the document.
2. A journey with real answers: a reply, a followed message, a dead letter. Each answer must be one of the document's.
3. schemathesis: generated calls, good and bad ones. The endless stream is left to the journey.
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
ROUTES = HERE.parent.parent / "src/api/routes.rs"
STREAM = "GET /messages"
PATIENCE_S = 20
METHODS = ("get", "put", "post", "delete", "patch")

# A dead letter is made by following a message and not acknowledging it.
SETTINGS = {"EXORELAY__RELAY__SUBSCRIBER_LEASE_MS": "2000", "EXORELAY__RELAY__SUBSCRIBER_DELIVERIES_MAX": "1"}


class Findings:
    """What is wrong, by operation such as `POST /send/{message}`."""

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
    flags = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    for flag in ("--listen", "--api", "--edge", "--broker"):
        if flag in flags:
            command += [flag, "127.0.0.1:0"]
    log = open(Path(folder) / "log", "w")
    server = subprocess.Popen(command, cwd=folder, env=SETTINGS, stdout=subprocess.PIPE, stderr=log, text=True)
    urls = {}
    while "api" not in urls or "listen" not in urls:
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


def routed():
    """Every operation that the router has, read from its source."""
    source = ROUTES.read_text()
    operations = set()
    for path, handler in re.findall(r'\.route\("([^"]+)",\s*([^\n]+)\)', source):
        chosen = re.search(rf"let {re.escape(handler)} = (.*?);\n", source, re.DOTALL) if handler.isidentifier() else None
        methods = re.findall(r"\b(get|put|post|delete|patch)\(", chosen[1] if chosen else handler)
        path = path.replace("{*", "{")
        if not methods:
            sys.exit(f"{ROUTES.name}: cannot see which methods {path} has")
        operations |= {f"{method.upper()} {path}" for method in methods}
    return operations


def check_existence(api, operations, findings):
    """Every operation of the document is answered by its route, not by the fallbacks."""
    for operation in operations:
        method, path = operation.split(" ", 1)
        url = api + re.sub(r"\{\w+\}", "0", path)
        with requests.request(method, url, timeout=PATIENCE_S, stream=True) as answer:
            problem = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
        findings.checked(operation)
        if answer.status_code == 405 or problem.get("detail", "").startswith(f"cannot {method} "):
            findings.add(operation, f"it is in the document, and the server answers {answer.status_code}")
    with requests.get(f"{api}/zonk", timeout=PATIENCE_S) as answer:
        assert answer.json()["detail"] == "cannot GET /zonk", "the words by which a missing route is known"


def next_event(lines):
    """The next event of a stream, by field."""
    event = {}
    for line in lines:
        if not line and "data" in event:
            return event
        name, _, value = line.partition(": ")
        event[name] = value
    raise AssertionError("the stream ended before there was an event")


class Journey:
    """Calls whose answers are known, each held to the document."""

    def __init__(self, api, schema, findings):
        self.api, self.schema, self.findings = api, schema, findings

    def call(self, operation, status, body=None, headers=None, **values):
        """Makes one call. Answers what came back; what is wrong with it is a finding."""
        method, path = operation.split(" ", 1)
        query = values.pop("query", "")
        url = self.api + path.format(**values) + query
        data = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json", **(headers or {})} if data else headers
        answer = requests.request(method, url, data=data, headers=headers, timeout=PATIENCE_S)
        self.findings.checked(operation)
        if answer.status_code != status:
            self.findings.add(operation, f"{method} {url}: expected {status}, got {answer.status_code} {answer.text}")
        try:
            self.schema[path][method].validate_response(answer)
        except Exception as error:  # One class per kind of mismatch, each with a text.
            self.findings.add(operation, f"{method} {url}: {error}")
        return answer

    def operations(self):
        for path in ("/health", "/ready", "/metrics", "/openapi.json", "/dead-letters"):
            self.call(f"GET {path}", 200)

    def conversation(self):
        reply = self.call("POST /request/{message}", 200, {"name": "world"}, message="hello", query="?timeout=20s")
        if reply.json() != {"text": "Hello, world!"} or reply.headers.get("exo-message") != "greeting":
            self.findings.add("POST /request/{message}", f"the greeter says {reply.text} {reply.headers}")
        self.call("POST /request/{message}", 404, message="zonk")
        self.call("POST /request/{message}", 504, message="greeting", query="?timeout=10ms")
        self.call("POST /request/{message}", 400, message="hello", query="?timeout=soon")
        self.call("POST /send/{message}", 415, {}, {"content-type": "image/png"}, message="hello")
        self.call("POST /send/{message}", 413, "x" * (1024 * 1024), message="hello")
        key = {"idempotency-key": "journey"}
        self.call("POST /send/{message}", 202, 1, key, message="greeting")
        self.call("POST /send/{message}", 422, 2, key, message="greeting")
        self.call("POST /reply/{message}", 202, 1, {"exo-response-to": "1"}, message="greeting")
        self.call("POST /reply/{message}", 400, 1, message="greeting")

    def stream(self):
        """Follows three messages: one is acknowledged, two become dead letters."""
        for number in range(3):
            self.call("POST /send/{message}", 202, number, message="greeting")
        with requests.get(f"{self.api}/messages?name=greeting", stream=True, timeout=PATIENCE_S) as answer:
            lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
            event = next_event(lines)
            self.check_stream(answer, event)
            self.call("POST /messages/{id}/ack", 204, id=event["id"])
            self.call("POST /messages/{id}/ack", 404, id=event["id"])
            event = next_event(lines)
            self.call("POST /messages/{id}/retry", 204, id=event["id"])
            self.call("POST /messages/{id}/retry", 404, id=event["id"])
            self.dead_letters()

    def check_stream(self, answer, event):
        declared = self.schema["/messages"]["GET"].definition.raw["responses"]["200"]["content"]
        self.findings.checked(STREAM)
        if answer.status_code != 200 or answer.headers["content-type"] not in declared:
            told = f"{answer.status_code} {answer.headers['content-type']}"
            self.findings.add(STREAM, f"it answers {told}, the document has 200 {[*declared]}")
        envelope = json.loads(event["data"])
        missing = {"id", "name", "activityId"} - envelope.keys()
        if missing or event.get("event") != "message" or envelope["id"] != event["id"]:
            self.findings.add(STREAM, f"the event is {event}")

    def dead_letters(self):
        """Tries one again and throws one away."""
        deadline = time.monotonic() + PATIENCE_S
        letters = []
        while len(letters) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            letters = self.call("GET /dead-letters", 200).json()
        if len(letters) < 2:
            self.findings.add("GET /dead-letters", f"two messages were not acknowledged, and it has {letters}")
            return
        first, second = (letter["id"] for letter in letters[:2])
        self.call("POST /dead-letters/{id}/replay", 202, id=first)
        self.call("POST /dead-letters/{id}/replay", 404, id=first)
        self.call("DELETE /dead-letters/{id}", 204, id=second)
        self.call("DELETE /dead-letters/{id}", 404, id=second)


def generated_calls(api, operations, findings):
    """Runs schemathesis on everything that ends."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{api}/openapi.json", "--url", api, "--exclude-operation-id", "follow", "--checks", "all"]
        command += ["--phases", "coverage,fuzzing", "--max-examples", "50", "--workers", "1", "--no-color"]
        command += ["--generation-database", "none", "--warnings", "off"]
        command += ["--report", "junit", "--report-junit-path", report]
        ended = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if not report.exists():
            sys.exit(ended.stdout)
        cases = {case.get("name"): case for case in xml.etree.ElementTree.parse(report).iter("testcase")}
    if ended.returncode != 0:
        print(ended.stdout)
    for operation, case in cases.items():
        findings.checked(operation)
        for kind in ("failure", "error"):
            for wrong in case.iter(kind):
                findings.add(operation, (wrong.get("message") or wrong.text or kind).strip().replace("\n", "\n         "))
    # It fetches the document itself, and so does not count that as an operation.
    for operation in operations - cases.keys() - {STREAM, "GET /openapi.json"}:
        findings.add(operation, "schemathesis has not called it")


def main():
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        server, urls = start_server(folder)
        try:
            api = urls["api"]
            document = requests.get(f"{api}/openapi.json", timeout=PATIENCE_S).json()
            operations = documented(document)
            for operation in routed() - operations:
                findings.add(operation, "it is in src/api/routes.rs, and not in the document")
            check_existence(api, operations, findings)
            journey = Journey(api, schemathesis.openapi.from_dict(document), findings)
            for part in (journey.operations, journey.conversation, journey.stream):
                part()
            generated_calls(api, operations, findings)
            if server.poll() is not None:
                findings.add("GET /health", f"the server ended: {(Path(folder) / 'log').read_text()}")
        finally:
            server.kill()
            server.wait()
    return findings.report()


sys.exit(main())
