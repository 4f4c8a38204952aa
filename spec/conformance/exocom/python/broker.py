"""The broker under test: a real process."""

import asyncio
import json
import os
import tempfile
import urllib.request
from pathlib import Path

PATIENCE_S = 30
POLL_S = 0.01


async def eventually(what, ask):
    """Asks until the answer is yes."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await ask():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


class Broker:
    """One process, with its files in a folder of its own."""

    @classmethod
    async def start(cls, landscape, settings=None, address="127.0.0.1:0"):
        """A broker of these roles, on a port of its own."""
        broker = cls()
        broker.folder = tempfile.TemporaryDirectory(prefix="exocom-conformance-")
        file = Path(broker.folder.name) / "landscape.json"
        file.write_text(json.dumps(landscape))
        broker.log = open(Path(broker.folder.name) / "log", "w+")
        broker.process = await asyncio.create_subprocess_exec(
            os.environ["EXORELAY_BIN"], "broker", "--listen", address, "--landscape", str(file),
            cwd=broker.folder.name, env=settings or {}, stdout=asyncio.subprocess.PIPE, stderr=broker.log,
        )
        line = await asyncio.wait_for(broker.process.stdout.readline(), PATIENCE_S)
        assert line, f"the broker ended: {Path(broker.log.name).read_text()}"
        broker.address = json.loads(line)["address"]
        return broker

    async def count(self, role):
        """How many instances of the role there are."""
        def ask():
            with urllib.request.urlopen(f"http://{self.address}/services", timeout=PATIENCE_S) as answer:
                return json.load(answer)["services"]

        return sum(service["role"] == role for service in await asyncio.to_thread(ask))

    async def has(self, role, count):
        async def ask():
            return await self.count(role) == count

        await eventually(f"{count} of {role}", ask)

    async def stop(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.log.close()
        self.folder.cleanup()
