"""Drives a broker as services written in Go did."""

import asyncio
import json
import os
import sys
import uuid
from contextlib import asynccontextmanager

import websockets
from broker import Broker, eventually
from report import Report
from service import Service

LANDSCAPE = {
    "web": {"sends": ["create user", "tweets create"], "receives": ["user created", "tweets created"]},
    "users": {"sends": ["user created"], "receives": ["create user"]},
    "tweets": {
        "sends": ["text-snippets created"],
        "receives": ["text-snippets create"],
        "translations": [
            {"public": "tweets create", "internal": "text-snippets create"},
            {"public": "tweets created", "internal": "text-snippets created"},
        ],
    },
}
GUARDED = {
    "web": {"sends": ["create user"], "receives": ["user created", "message unauthorized"]},
    "users": {"sends": ["user created"], "receives": ["create user"]},
    "sessions": {"sends": ["session data"], "receives": ["retrieve user session"]},
    "security": {
        "sends": ["message authorized", "message unauthorized", "security request"],
        "receives": ["authorize message", "security response"],
    },
}


@asynccontextmanager
async def stage(broker, *roles):
    """Opens services for one check and closes them behind it. A role may come with its options."""
    services = []
    try:
        for role in roles:
            role, options = (role, {}) if isinstance(role, str) else role
            services.append(await Service.open(broker, role, **options))
        yield services
    finally:
        for service in services:
            service.abort()
        for service in services:
            await broker.has(service.role, 0)


def check_link(asking, request, answer):
    if asking.dialect == "3b":
        assert answer["activityId"] == request["activityId"]
    else:
        assert answer["responseTo"] == request["id"]
    assert answer["responseTime"] > 0, "the time since the request is included"


async def round_trip(broker, asking=None, answering=None):
    async with stage(broker, ("web", asking or {}), ("users", answering or {})) as (web, users):
        request = await web.send("create user", {"name": "Will Riker"})
        asked = await users.next()
        assert (asked["id"], asked["name"], asked["sender"]) == (request["id"], "create user", "web")
        assert asked["payload"] == {"name": "Will Riker"}
        reply = await users.reply(asked, "user created", {"id": 456})
        answer = await web.next()
        assert (answer["id"], answer["payload"]) == (reply["id"], {"id": 456})
        check_link(web, request, answer)


async def with_partner(broker, dialect, asking):
    command = [*json.loads(os.environ["PARTNER"]), broker.address, "users", dialect, "user created"]
    partner = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    try:
        await broker.has("users", 1)
        async with stage(broker, ("web", asking)) as (web,):
            for payload in ({"name": "Will Riker"}, ["ü", None, 1.5], "", 0):
                request = await web.send("create user", payload)
                answer = await web.next()
                assert answer["payload"] == {"heard": payload, "by": "node"}, answer
                check_link(web, request, answer)
    finally:
        partner.stdin.close()
        await partner.wait()
        await broker.has("users", 0)


async def sticky_activities(broker):
    async with stage(broker, "web", "users", "users") as (web, *users):
        activities = [str(uuid.uuid4()) for _ in range(20)]
        for turn in range(3):
            for activity in activities:
                await web.send("create user", turn, activityId=activity)
        served = {}

        async def serve(place):
            while True:
                frame = await users[place].socket.recv()
                frame = json.loads(frame)
                served.setdefault(frame["activityId"], []).append((place, frame["payload"]))

        serving = [asyncio.create_task(serve(place)) for place in range(2)]

        async def complete():
            return sum(map(len, served.values())) == 60

        await eventually("all messages", complete)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        for got in served.values():
            assert [turn for _, turn in got] == [0, 1, 2], got
            assert len({place for place, _ in got}) == 1, got
        assert {got[0][0] for got in served.values()} == {0, 1}, "both instances have work"


async def translation(broker):
    async with stage(broker, "web", "tweets") as (web, tweets):
        request = await web.send("tweets create", {"text": "hi"})
        asked = await tweets.next()
        assert asked["name"] == "text-snippets create"
        await tweets.reply(asked, "text-snippets created", {"id": 1})
        answer = await web.next()
        assert answer["name"] == "tweets created"
        check_link(web, request, answer)


async def auth_and_security_mark(broker):
    async with stage(broker, "web", "users") as (web, users):
        await web.send("create user", None, auth={"sessionId": "s1"}, isSecurity=True)
        asked = await users.next()
        assert (asked["auth"], asked["isSecurity"], asked["payload"]) == ({"sessionId": "s1"}, True, None)
        await users.reply(asked, "user created", 1, auth=asked["auth"])
        answer = await web.next()
        assert (answer["auth"], answer["isSecurity"]) == ({"sessionId": "s1"}, False)


async def ends(broker):
    for code in (1000, 1001):
        users = await Service.open(broker, "users")
        assert await users.close(code) == code, "the close frame is answered"
        await broker.has("users", 0)
    users = await Service.open(broker, "users")
    users.abort()
    await broker.has("users", 0)
    await round_trip(broker)


async def pings(broker):
    async with stage(broker, "web") as (web,):
        for _ in range(3):
            await asyncio.wait_for(await web.socket.ping(), 30)


async def fragments(broker):
    async with stage(broker, "web", "users") as (web, users):
        frame = {"activityId": "a", "id": "1", "name": "create user", "payload": "ü" * 50_000, "sender": "web"}
        text = json.dumps(frame, ensure_ascii=False)

        async def pieces():
            for start in range(0, len(text), 7_001):
                yield text[start : start + 7_001]
                # Control frames may come in between.
                await web.socket.ping()

        await web.socket.send(pieces())
        assert (await users.next())["payload"] == "ü" * 50_000


async def large_frames(broker):
    async with stage(broker, "web", "users") as (web, users):
        await web.send("create user", "x" * 5_000_000)
        assert len((await users.next())["payload"]) == 5_000_000
        try:
            await web.send("create user", "x" * (17 * 1024 * 1024))
        except websockets.ConnectionClosed:
            pass  # the reset may come before it is through
        assert await web.end() == 1006


async def roles_change(broker):
    async with stage(broker, "web", "users") as (web, turncoat):
        await turncoat.register("tweets")
        await broker.has("users", 0)
        await broker.has("tweets", 1)
        await web.send("create user", "waits")
        await web.send("tweets create", "comes")
        assert (await turncoat.next())["payload"] == "comes"
        async with stage(broker, "users") as (users,):
            assert (await users.next())["payload"] == "waits"
    await broker.has("tweets", 0)


async def security():
    broker = await Broker.start(GUARDED)
    roles = ("web", "users", "sessions", "security")
    try:
        async with stage(broker, *roles) as (web, users, sessions, judge):
            await web.send("create user", 1, id="111", activityId="336", auth="mary")
            question = await judge.next()
            assert question["name"] == "authorize message"
            about = question["payload"]
            told = [about[key] for key in ("name", "sender", "id", "activityId", "auth", "payload")]
            assert told == ["create user", "web", "111", "336", "mary", 1], about
            inner = {"name": "retrieve user session", "payload": {"session": 5}, "id": "3", "activityId": "456"}
            await judge.reply(question, "security request", inner)
            asked = await sessions.next()
            assert (asked["name"], asked["activityId"], asked["payload"]) == (
                "retrieve user session", "456", {"session": 5},
            )
            await sessions.reply(asked, "session data", {"user": "mary"})
            response = await judge.next()
            assert (response["name"], response["isSecurity"]) == ("security response", True)
            assert response["activityId"] == question["activityId"]
            assert response["payload"]["payload"] == {"user": "mary"}
            await judge.reply(question, "message unknown", None)  # it may not say that
            await judge.reply(question, "message authorized", None)
            got = await users.next()
            assert (got["id"], got["activityId"], got["auth"]) == ("111", "336", "mary")

            await web.send("create user", 2, activityId="337")
            question = await judge.next()
            await judge.send("message unauthorized", None)  # about nothing
            await judge.reply(question, "message unauthorized", None)
            refusal = await web.next()
            assert (refusal["name"], refusal["activityId"]) == ("message unauthorized", "337")
            assert refusal["payload"]["payload"] == 2
    finally:
        await broker.stop()


async def main():
    report = Report()
    broker = await Broker.start(LANDSCAPE)
    for frames in ("text", "binary"):
        for asking in ("3a", "3b"):
            for answering in ("3a", "3b"):
                options = [{"dialect": dialect, "frames": frames} for dialect in (asking, answering)]
                await report.check(f"{asking} asks {answering} in {frames} frames", round_trip, broker, *options)
    for asking in ("3a", "3b"):
        for dialect in ("3a", "3b"):
            name = f"{asking} asks a partner in Node of {dialect}"
            await report.check(name, with_partner, broker, dialect, {"dialect": asking})
    await report.check("an activity stays with one of two instances", sticky_activities, broker)
    await report.check("names are translated both ways", translation, broker)
    await report.check("auth and isSecurity are kept", auth_and_security_mark, broker)
    await report.check("polite and abrupt ends harm nobody", ends, broker)
    await report.check("pings are answered", pings, broker)
    await report.check("a message in fragments is one message", fragments, broker)
    await report.check("5 MB pass, and too much ends with a reset", large_frames, broker)
    await report.check("a socket that registers anew has its last role alone", roles_change, broker)
    await report.check("the security service judges, asks and refuses", security)
    await broker.stop()
    return 1 if report.failed else 0


sys.exit(asyncio.run(main()))
