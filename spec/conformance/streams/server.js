// The server under test, as a process that can be killed and started again where it was.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const store = process.env.STREAMS_STORE

/** Whether what was written is there after a restart. */
export const durable = store === "disk"

export class Server {
  #folder
  #child
  #port = 0

  /** Starts a server whose store is empty. */
  static async start() {
    const server = new Server()
    server.#folder = await mkdtemp(join(tmpdir(), "exorelay-clients-"))
    await server.restart()
    return server
  }

  /** Starts it again, on the port and the folder that it had. */
  async restart() {
    const kept = durable ? ["--data-dir", join(this.#folder, "data")] : []
    const address = `127.0.0.1:${this.#port}`
    const options = ["streams", "--listen", address, "--store", store, ...kept, "--long-poll-timeout", "2s"]
    this.#child = spawn(process.env.EXORELAY_BIN, options, { stdio: ["ignore", "pipe", "inherit"], cwd: this.#folder })
    for await (const line of createInterface(this.#child.stdout)) {
      const ready = JSON.parse(line)
      if (ready.system !== "streams") continue
      this.#port = Number(ready.address.split(":").at(-1))
      return
    }
    throw new Error("the server ended before it was ready")
  }

  /** Ends it without any warning. */
  async kill() {
    this.#child.kill("SIGKILL")
    await once(this.#child, "exit")
  }

  /** Ends it for good. */
  async stop() {
    await this.kill()
    await rm(this.#folder, { recursive: true })
  }

  url(path) {
    return `http://127.0.0.1:${this.#port}/v1/stream/${path}`
  }
}
