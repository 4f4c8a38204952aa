// The broker under test: a real process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const POLL_MS = 10;
const PATIENCE_MS = 30_000;

/** Asks until the answer is yes. */
export async function eventually(what, ask) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

export class Broker {
  /** A broker of these roles, on a port of its own. */
  static async start(landscape, settings = {}, address = "127.0.0.1:0") {
    const broker = new Broker();
    broker.folder = mkdtempSync(join(tmpdir(), "exocom-conformance-"));
    Object.assign(broker, { landscape, settings, log: "" });
    const file = join(broker.folder, "landscape.json");
    writeFileSync(file, JSON.stringify(landscape));
    const arguments_ = ["broker", "--listen", address, "--landscape", file];
    broker.process = spawn(process.env.EXORELAY_BIN, arguments_, { cwd: broker.folder, env: settings });
    broker.process.stderr.on("data", (data) => (broker.log += data));
    broker.gone = once(broker.process, "exit");
    for await (const line of createInterface({ input: broker.process.stdout })) {
      const ready = JSON.parse(line);
      if (ready.system === "broker") {
        broker.address = ready.address;
        return broker;
      }
    }
    throw new Error(`the broker ended: ${broker.log}`);
  }

  /** How many instances of the role there are. */
  async count(role) {
    const answer = await fetch(`http://${this.address}/services`);
    const { services } = await answer.json();
    return services.filter((service) => service.role === role).length;
  }

  has(role, count) {
    return eventually(`${count} of ${role}`, async () => (await this.count(role)) === count);
  }

  async stop(signal = "SIGKILL") {
    this.process.kill(signal);
    const [code] = await this.gone;
    rmSync(this.folder, { recursive: true });
    return code;
  }
}
