// Starts the reference server on a free port: in memory, or in the folder of its argument. Prints a ready line.
import { DurableStreamTestServer } from "@durable-streams/server"

const [dataDir] = process.argv.slice(2)
// Its file store needs the folder to exist.
const server = new DurableStreamTestServer({ port: 0, host: "127.0.0.1", dataDir })
const url = new URL(await server.start())
console.log(JSON.stringify({ system: "streams", status: "ready", address: url.host }))
