"""A service of the WebSocket era as its Go programs were seen on the wire: every key, in the order of the alphabet.

3a (2016-11 to 2017-07) is what JavaScript spoke; a Python service of that time would have sent the same few keys.
"""

import asyncio
import json
import re
import uuid

import websockets
from websockets.asyncio.client import connect

PATIENCE_S = 30
UNSET = "0001-01-01T00:00:00Z"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
TYPES_3B = {
    "activityId": str,
    "auth": object,
    "id": str,
    "isSecurity": bool,
    "name": str,
    "payload": object,
    "responseTime": int,
    "sender": str,
    "timestamp": str,
}
KEYS_3A = {"name", "id", "payload", "timestamp", "responseTime", "responseTo", "sender"}


class Service:
    """One connection of one instance of a role."""

    @classmethod
    async def open(cls, broker, role, dialect="3b", frames="text", register=True, **options):
        """Opens the socket, and registers unless told otherwise."""
        service = cls()
        service.role, service.dialect, service.frames = role, dialect, frames
        url = f"ws://{broker.address}/services"
        service.socket = await connect(url, max_size=None, ping_interval=None, compression=None, **options)
        if register:
            before = await broker.count(role)
            await service.register()
            await broker.has(role, before + 1)
        return service

    async def register(self, role=None):
        """Sends the frame that registers, as either dialect has it."""
        role = role or self.role
        if self.dialect == "3b":
            await self.send("exocom.register-service", None, sender=role)
        else:
            frame = {"name": "exocom.register-service", "id": str(uuid.uuid4()), "payload": {"name": role}}
            await self.send_text(json.dumps(frame))

    async def send_text(self, text):
        await self.socket.send(text.encode() if self.frames == "binary" else text)

    async def send(self, name, payload, **more):
        """Sends a message; in 3b it opens a conversation unless it is part of one. Answers the frame."""
        frame = {"id": str(uuid.uuid4()), "name": name, "payload": payload, "sender": self.role}
        if self.dialect == "3b":
            frame |= {"activityId": str(uuid.uuid4()), "auth": None, "isSecurity": False, "responseTime": 0}
            frame |= {"timestamp": UNSET}
        frame |= more
        await self.send_text(json.dumps(frame, sort_keys=self.dialect == "3b", separators=(",", ":")))
        return frame

    async def reply(self, request, name, payload, **more):
        if self.dialect == "3b":
            return await self.send(name, payload, activityId=request["activityId"], **more)
        return await self.send(name, payload, responseTo=request["id"], **more)

    async def next(self):
        """The next message, which must be as its dialect wants it."""
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        assert isinstance(text, str), "the broker sends text frames"
        return decode_3b(text) if self.dialect == "3b" else decode_3a(text)

    async def close(self, code=1000):
        """Says that it goes, and answers the code that came back."""
        await asyncio.wait_for(self.socket.close(code, "done"), PATIENCE_S)
        return self.socket.close_code

    def abort(self):
        """Just goes, if it has not gone already."""
        if not self.socket.transport.is_closing():
            self.socket.transport.abort()

    async def end(self):
        """Waits for the other end to go; answers how, 1006 for without a word."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.socket.recv()
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def decode_3b(text):
    """Decodes as strictly as a Go client: nine keys, each with its type."""
    frame = json.loads(text, object_pairs_hook=pairs)
    assert list(frame) == list(TYPES_3B), f"the keys are {list(frame)}"
    for key, kind in TYPES_3B.items():
        assert isinstance(frame[key], kind) and (kind is not int or type(frame[key]) is int), f"{key} in {text}"
    assert RFC_3339.fullmatch(frame["timestamp"]) and frame["timestamp"] != UNSET, f"timestamp in {text}"
    return frame


def decode_3a(text):
    """Five keys, and two more on replies."""
    frame = json.loads(text, object_pairs_hook=pairs)
    assert set(frame) <= KEYS_3A, f"keys of another dialect in {text}"
    assert type(frame["timestamp"]) is int, f"timestamp in {text}"
    assert ("responseTo" in frame) == ("responseTime" in frame), f"one key of a reply alone in {text}"
    return frame


def pairs(found):
    frame = dict(found)
    assert len(frame) == len(found), "a key stands there twice"
    return frame
