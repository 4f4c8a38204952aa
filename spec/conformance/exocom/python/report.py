"""Runs checks one after the other and prints one line for each."""

import textwrap
import traceback


class Report:
    failed = 0

    async def check(self, name, run, *arguments):
        try:
            await run(*arguments)
            print(f"ok - python: {name}", flush=True)
        except Exception:
            self.failed += 1
            print(f"not ok - python: {name}")
            print(textwrap.indent(traceback.format_exc(), "    "), flush=True)
