"""Runs the commands and snippets of the README and the guide as a reader would, top to bottom, one file after the other.

Each file has a folder of its own. Its fenced blocks are read by their language:

    sh          a script; each command that is a server or a follower keeps running (see below)
    console     commands after `$ `, each followed by what it must print
    anything whose first line is a comment with a file name (`# users.py`, `// users.mjs`): written to that file
    anything else (rust is compiled by `cargo test --doc`; json, text are for reading)

Expected output matches as printed, except that `…` stands for any text, and that ids, times, durations and cursors may
have other values. A command that goes on after it has printed what is expected (a server, `curl -N`) keeps running, or
is ended where it only follows. A `##` heading ends everything that runs.

A comment before a block changes this: `<!-- docs: X -->` with X one of

    stop COMMAND          first ends what runs under this command
    background            the block's script keeps running
    while the above runs  the command before this block must be running while it runs, and its output is checked after it
    retry                 repeats the block's commands until they print what is expected
    needs COMMAND         runs only where this command works (`docker` means an engine)
    runs this             is not run: it is what runs this check

`cargo install` installs a debug build, into the folder of the file; what follows uses it.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 30  # seconds for a command, or until a server listens
SERVERS = re.compile(r"^(\w+=('[^']*'|\S+) )*(exorelay (dev|broker|run|streams)\b|exocom\b|python3 \S+\.py|node \S+\.mjs|go run )")

PLACEHOLDERS = [  # what may differ between a printed example and a run
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z"),
    (r"\d{16}_", r"\\d{16}_"),  # the era of an offset
    (r'"streamCursor":"\d+"', r'"streamCursor":"\\d+"'),
    (r"\d+(\.\d+)? ms", r"\\d+(\\.\\d+)? ms"),
]


class Failed(Exception):
    pass


class Running:
    """A command that was started, with everything it has printed so far in a file."""

    def __init__(self, command, folder):
        self.command = command
        self.log = tempfile.NamedTemporaryFile(dir=folder.parent, delete=False)
        # As a file, so that `pgrep -f` finds the commands themselves only.
        script = pathlib.Path(self.log.name + ".sh")
        if command.startswith("cargo install "):
            folder, command = ROOT, f"{command} --debug --offline --root {folder.parent}"
        script.write_text(command)
        self.process = subprocess.Popen(
            ["bash", "-o", "pipefail", script], cwd=folder, env=environment(script.parent),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)

    def printed(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def ended(self):
        return self.process.poll() is not None

    def stop(self):
        for attempt in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, attempt)
                self.process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
            break


class Page:
    """One Markdown file being run."""

    def __init__(self, path):
        self.path = path
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="exorelay-docs."))
        self.folder = self.base / "here"
        self.folder.mkdir()
        self.running = []
        self.unseen = None  # a follower whose output is checked after the next block
        self.passed, self.failures = 0, []

    def run(self):
        try:
            for line, directive, language, text in blocks(self.path.read_text()):
                if language == "##":
                    self.stop_all()
                    continue
                try:
                    if self.run_block(directive, language, text):
                        self.passed += 1
                except Failed as failed:
                    self.failures.append(f"{self.path.relative_to(ROOT)}:{line}: {failed}")
        finally:
            self.stop_all()
            shutil.rmtree(self.base, ignore_errors=True)

    def run_block(self, directive, language, text):
        word, _, argument = directive.partition(" ")
        if word == "needs" and not works(argument):
            print(f"{self.path.relative_to(ROOT)}: not run, no {argument} here: {text.splitlines()[0]}")
            return False
        if directive == "runs this":
            return False
        if word == "stop":
            self.stop(argument)
        if language == "sh" and word == "background":
            self.running.append(Running(text, self.folder))
        elif language == "sh":
            for command in commands_of(text):
                self.run_command(command, [])
        elif language == "console":
            for command, expected in sessions_of(text):
                self.run_session(command, expected, word == "retry")
        else:
            name = re.match(r"(?:#|//|--) (\S+\.\w+)\n", text)
            if not name:
                return False
            body = text if language != "text" else text[name.end():]
            (self.folder / name[1]).write_text(body)
        if directive == "while the above runs":
            follower, expected = self.unseen
            self.unseen = None
            wait_for(follower, expected)
            follower.stop()
        return True

    def run_session(self, command, expected, retry):
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                return self.run_command(command, expected)
            except Failed:
                if not retry or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def run_command(self, command, expected):
        running = Running(command, self.folder)
        if SERVERS.match(command):
            self.running.append(running)
            wait_until_listening(running)
            return wait_for(running, expected)
        if "--broker localhost" in command and expected:
            # A follower: what it prints comes from the next block.
            self.running.append(running)
            self.unseen = (running, expected)
            time.sleep(1)
            return None
        try:
            wait_for(running, expected)
            if not expected:
                wait_until_ended(running)
        finally:
            running.stop()
        return None

    def stop(self, command):
        found = [running for running in self.running if running.command == command]
        if not found:
            raise Failed(f"`{command}` does not run, so it cannot be stopped")
        for running in found:
            running.stop()
            self.running.remove(running)

    def stop_all(self):
        for running in reversed(self.running):
            running.stop()
        self.running.clear()


def blocks(text):
    """Yields (line, directive, language, text) of each fenced block, and of each `##` heading."""
    directive, language, body, begin = "", None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if language is not None:
            if line == "```":
                yield begin, directive, language, "\n".join(body) + "\n"
                directive, language, body = "", None, []
            else:
                body.append(line)
        elif line.startswith("```"):
            language, begin = line[3:].split(",")[0], number
        elif line.startswith("## "):
            yield number, "", "##", line
        elif found := re.fullmatch(r"<!-- docs: (.*) -->", line):
            directive = found[1]


def commands_of(script):
    """The commands of a script: lines, joined while quotes are open."""
    commands, command = [], ""
    for line in script.splitlines():
        command += line
        if command.count("'") % 2 == 0 and not command.endswith("\\"):
            if command.strip():
                commands.append(re.sub(r"\s+# .*", "", command).strip())
            command = ""
        else:
            command += "\n"
    return commands


def sessions_of(transcript):
    """(command, expected lines) of a console block."""
    sessions = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            sessions.append([line[2:], []])
        elif sessions[-1][0].count("'") % 2:
            sessions[-1][0] += "\n" + line
        else:
            sessions[-1][1].append(line)
    for session in sessions:
        while session[1] and not session[1][-1]:
            session[1].pop()
        session[0] = re.sub(r"\s+# .*", "", session[0]) if "'" not in session[0] else session[0]
    return sessions


def pattern_of(expected):
    """A pattern for output that starts with, and goes on after, the expected lines."""
    parts = []
    for line in expected:
        pattern, at = "", 0
        union = "|".join(f"(?P<p{n}>{example})" for n, (example, _) in enumerate(PLACEHOLDERS)) + "|(?P<any>…)"
        for found in re.finditer(union, line):
            pattern += re.escape(line[at:found.start()])
            at = found.end()
            if found.lastgroup == "any" or found["any"]:
                pattern += "[^\\n]*" if line != "…" else "(?:[^\\n]*\\n)*?[^\\n]*"
            else:
                number = next(n for n in range(len(PLACEHOLDERS)) if found[f"p{n}"])
                pattern += PLACEHOLDERS[number][1].replace("\\\\", "\\")
        parts.append(pattern + re.escape(line[at:]))
    return re.compile("\n".join(parts))


def wait_for(running, expected):
    """Waits until the command has printed what is expected."""
    if not expected:
        return
    pattern = pattern_of(expected)
    end = time.monotonic() + TIMEOUT
    while not pattern.search(running.printed()):
        ended = running.ended()
        if ended and pattern.search(running.printed()):
            return
        if ended or time.monotonic() > end:
            raise Failed(f"`{running.command}` printed\n{indent(running.printed())}\n  expected\n{indent(chr(10).join(expected))}")
        time.sleep(0.05)


def wait_until_ended(running):
    try:
        status = running.process.wait(TIMEOUT * 10)
    except subprocess.TimeoutExpired:
        raise Failed(f"`{running.command}` goes on; it printed\n{indent(running.printed())}") from None
    if status:
        raise Failed(f"`{running.command}` ended with {status}; it printed\n{indent(running.printed())}")


def wait_until_listening(running):
    """Waits until a process of the command's session listens on a port, and half a second more for its other ports."""
    end = time.monotonic() + TIMEOUT * 2  # `go run` compiles first
    while not listens(running.process.pid):
        if running.ended() or time.monotonic() > end:
            raise Failed(f"`{running.command}` does not listen; it printed\n{indent(running.printed())}")
        time.sleep(0.05)
    time.sleep(0.5)


def listens(session):
    inodes = set()
    for family in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes.add(f"socket:[{fields[9]}]")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rsplit(") ", 1)[1].split()[3]) != session:
                continue
            if any(os.readlink(file) in inodes for file in (process / "fd").iterdir()):
                return True
        except (OSError, ValueError):
            continue  # It has ended meanwhile.
    return False


def works(command):
    probe = {"docker": ["docker", "info"]}.get(command, ["which", command])
    try:
        return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def environment(installed):
    configures = ("EXORELAY", "EXOCOM", "SERVICE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(configures)}
    path = f"{installed}/bin:{kept['PATH']}"
    return kept | {"PATH": path, "GOCACHE": str(pathlib.Path.home() / ".cache/exorelay/go"), "GO111MODULE": "off"}


def indent(text):
    lines = text.splitlines()
    return "\n".join("    " + line for line in (lines if len(lines) < 25 else ["…", *lines[-25:]]))


def main(arguments):
    pages = [pathlib.Path(argument).resolve() for argument in arguments]
    pages = pages or [ROOT / "README.md", *sorted((ROOT / "src/guide").glob("*.md"))]
    passed, failures = 0, []
    for path in pages:
        page = Page(path)
        page.run()
        print(f"{path.relative_to(ROOT)}: {page.passed} blocks passed, {len(page.failures)} failed", flush=True)
        passed, failures = passed + page.passed, failures + page.failures
    for failure in failures:
        print(failure)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


sys.exit(main(sys.argv[1:]))
