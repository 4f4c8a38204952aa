"""Answers every message it gets: `partner.py ADDRESS ROLE DIALECT REPLY`. Ends when its input does."""

import asyncio
import sys

from service import Service


class Elsewhere:
    """A broker that somebody else looks after."""

    def __init__(self, address):
        self.address = address

    async def count(self, role):
        return 0

    async def has(self, role, count):
        pass


async def serve(address, role, dialect, reply):
    service = await Service.open(Elsewhere(address), role, dialect)
    while True:
        request = await service.next()
        more = {"auth": request["auth"]} if request.get("auth") else {}
        await service.reply(request, reply, {"heard": request.get("payload"), "by": "python"}, **more)


async def main():
    serving = asyncio.create_task(serve(*sys.argv[1:]))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()


asyncio.run(main())
