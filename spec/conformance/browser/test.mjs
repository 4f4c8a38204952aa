// Drives a headless Chromium with pages of strangers and of an allowed origin, and looks afterwards at what they have done.
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const here = dirname(fileURLToPath(import.meta.url))
const work = process.env.WORK
const children = []
let failed = 0
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")))

async function check(name, run) {
  try {
    await run()
    console.log(`ok - ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok - ${name}\n${error.stack ?? error}`)
  }
}

function within(what, seconds, made) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`${what}: nothing in ${seconds} s`)), seconds * 1000).unref())
  return Promise.race([made, late])
}

/** A server on loopback. */
async function serve(answer, port = 0) {
  const server = createServer(answer).listen(port, "127.0.0.1")
  await once(server, "listening")
  return { server, port: server.address().port, close: () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections()) }
}

function start(program, args, settings = {}) {
  const environment = { ...process.env, ...settings }
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"], cwd: work, env: environment })
  children.push(child)
  return child
}

/** Starts servers and waits for a line of output that says so, for each of `lines`. */
async function ready(program, args, lines, settings) {
  const child = start(program, args, settings)
  const output = createInterface(child.stdout)
  const waited = new Set(lines)
  await within(`${args.join(" ") || program} is ready`, 20, new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${program} ended with ${code}`)))
    output.on("line", (line) => {
      for (const text of waited) if (line.includes(text)) waited.delete(text)
      if (waited.size === 0) resolve()
    })
  }))
}

// --- The pages, and what they report. ---

const files = { "/attack.js": join(here, "attack.js"), "/allowed.js": join(here, "allowed.js"), "/client.js": join(work, "client.js") }
const reports = new Map()
const waiting = new Map()
const report = (name) => reports.get(name) ?? reports.set(name, deferred()).get(name)

function deferred() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

let begin
const begun = new Promise((resolve) => { begin = resolve })

/** Answers what pages ask of their own server: the pages, the scripts, the signal to begin, and a place for reports. */
async function control(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://control")
  response.setHeader("access-control-allow-origin", "*")
  response.setHeader("access-control-allow-headers", "*")
  if (request.method === "OPTIONS") return response.end()
  if (files[pathname]) return response.setHeader("content-type", "text/javascript").end(readFileSync(files[pathname]))
  if (pathname === "/begin") return response.end(JSON.stringify(await begun))
  if (pathname === "/report") {
    let body = ""
    for await (const chunk of request) body += chunk
    report(searchParams.get("page")).resolve(JSON.parse(body || "null"))
    return response.end()
  }
  response.setHeader("content-type", "text/html")
  response.end(pages[pathname] ?? "")
}

const controlled = await serve((request, response) => control(request, response).catch((error) => response.destroy(error)))
const CONTROL = `http://control.example:${controlled.port}`

const script = (text) => `<!doctype html><body><script type="module">
  const tell = (page, body) => fetch("${CONTROL}/report?page=" + page, { method: "POST", body: JSON.stringify(body ?? null) })
  const begun = () => fetch("${CONTROL}/begin").then((answer) => answer.json())
  ${text}
</script>`
const REBOUND = ["api", "broker", "edge", "ops", "listen", "exocom", "decoy"]
const rebound = (name) => script(`
  import { attack } from "${CONTROL}/attack.js"
  await tell("loaded-${name}")
  const { targets } = await begun()
  await tell("rebound-${name}", await attack({ ...targets["${name}"], url: location.origin }))`)
const pages = {
  "/evil": script(`
  import { attack } from "${CONTROL}/attack.js"
  const { targets } = await begun()
  for (const [name, target] of Object.entries(targets)) await tell("evil-" + name, await attack(target))`),
  "/allowed": script(`
  import { checkAll } from "/allowed.js"
  const { listeners } = await begun()
  await tell("allowed", await checkAll(listeners))`),
}

// --- The stage: pages of a name that leads to the strangers first, and to the listeners then. ---

const strangers = {}
for (const name of REBOUND) {
  const page = (request, response) => response.setHeader("content-type", "text/html").end(rebound(name))
  strangers[name] = await serve(page)
}
const port = (name) => strangers[name].port
const url = (name) => `http://127.0.0.1:${port(name)}`
const APP = `http://app.example:${controlled.port}`
const opened = [...REBOUND.map((name) => `http://rebind.example:${port(name)}/`), `http://evil.example:${controlled.port}/evil`, `${APP}/allowed`]
pages["/start"] = opened.map((page) => `<iframe src="${page}"></iframe>`).join("")

start(process.env.CHROMIUM ?? "chromium", [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-popup-blocking",
  "--disable-background-networking", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
  `--user-data-dir=${join(work, "profile")}`, "--host-resolver-rules=MAP *.example 127.0.0.1",
  `${CONTROL}/start`,
])
for (const name of REBOUND) await within(`the page of ${name} is loaded`, 40, report(`loaded-${name}`).promise)
for (const { close } of Object.values(strangers)) await close()

const allowed = Object.fromEntries(["API", "BROKER", "OPS", "STREAMS"].map((name) => [`EXORELAY__${name}__CORS_ORIGINS`, APP]))
const bin = process.env.EXORELAY_BIN
const at = (name) => `127.0.0.1:${port(name)}`
const systems = (...names) => names.map((name) => `"system":"${name}"`)
await ready(bin, ["dev", "--api", at("api"), "--broker", at("broker"), "--edge", at("edge"), "--ops", at("ops")],
  systems("api", "broker", "edge", "ops"), allowed)
await ready(bin, ["run", "--role", "web", "--receives", "hello", "--bus", url("broker"), "--listen", at("listen"), "--api", "127.0.0.1:0"],
  systems("listen"))
await ready(join(dirname(bin), "exocom"), [], ["online"],
  { EXOCOM_BIND: "127.0.0.1", PORT: `${port("exocom")}`, SERVICE_DATA: '{"web":{"sends":["hello"]}}' })

// A server that checks nothing, to see that the attacks are real.
const arrived = new Set()
const decoy = await serve((request, response) => {
  const means = request.method === "POST" ? `POST ${request.headers["content-type"]?.split(";")[0]}` : request.method
  arrived.add(`${request.headers.host.split(".")[0]} ${request.headers.accept === "text/event-stream" ? "events" : means}`)
  response.end("ok")
}, port("decoy"))
decoy.server.on("upgrade", (request, socket) => arrived.add(`${request.headers.host.split(".")[0]} socket`) && socket.destroy())

const kept = { method: "PUT", headers: { "content-type": "text/plain" }, body: "kept" }
assert.equal((await fetch(`${url("edge")}/v1/stream/kept`, kept)).status, 201)
const state = async () => ({
  services: (await (await fetch(`${url("broker")}/services`)).json()).services.map(({ role, instance }) => `${role} ${instance}`).sort(),
  configuration: await (await fetch(`${url("exocom")}/config.json`)).text(),
  stream: await (await fetch(`${url("edge")}/v1/stream/kept`)).text(),
  others: (await fetch(`${url("edge")}/v1/stream/evil`)).status,
  undelivered: await (await fetch(`${url("broker")}/undelivered`)).text(),
  letters: await (await fetch(`${url("api")}/dead-letters`)).text(),
  ready: (await fetch(`${url("ops")}/ready`)).status,
})
/** The calls that a listener has answered with success, other than reads. */
const writes = async (name) => {
  const lines = (await (await fetch(`${url(name)}/metrics`)).text()).split("\n")
  return lines.filter((line) => /^exorelay_http_request_duration_seconds_count/.test(line) && /method="(POST|PUT|DELETE)"/.test(line)
    && /status="[12]xx"/.test(line) && / [1-9]/.test(line))
}
const message = '{"id":"1","payload":1}'
const streams = { writes: [["/v1/stream/kept", "evil"], ["/v1/stream/evil", "evil"]], reads: ["/v1/stream/kept?offset=-1", "/ready"],
  follows: ["/v1/stream/kept?offset=-1&live=sse"], sockets: ["/v1/stream/kept"] }
const targets = {
  api: { writes: [["/send/hello", message], ["/request/hello", message]], reads: ["/dead-letters", "/metrics"],
    follows: ["/messages"], sockets: ["/messages"] },
  broker: { writes: [["/services", "[]"], ["/services/evil", message], ["/send/hello", message]], reads: ["/services", "/config.json"],
    follows: ["/traffic"], sockets: ["/services"] },
  edge: streams,
  ops: { writes: [["/drain", ""]], reads: ["/ready", "/metrics"], follows: [], sockets: [] },
  listen: { writes: [["/run/hello", message], ["/run", `[${message}]`]], reads: ["/status"], follows: [], sockets: ["/run"] },
  exocom: { writes: [["/services", "{}"]], reads: ["/config.json"], follows: [], sockets: ["/services"] },
  decoy: { writes: [["/a", message]], reads: ["/b"], follows: ["/c"], sockets: ["/d"] },
}
for (const name of Object.keys(targets)) targets[name].url = url(name)

// --- The attempts, and what they have done. ---

await within("the sidecar is registered", 20, (async () => {
  while (!(await state()).services.some((service) => service.startsWith("web "))) await new Promise((resolve) => setTimeout(resolve, 50))
})())
const before = await state()
begin({ targets, listeners: Object.fromEntries(REBOUND.map((name) => [name, url(name)])) })
const outcomes = {}
for (const name of REBOUND) {
  for (const page of [`evil-${name}`, `rebound-${name}`]) {
    outcomes[page] = await within(page, 40, report(page).promise).catch((error) => [{ what: `${error}`, outcome: "leaked" }])
  }
}
for (const name of REBOUND.filter((name) => name !== "decoy")) {
  for (const [page, words] of [["evil", "a page of another origin"], ["rebound", "a page whose name leads here"]]) {
    await check(`${words} gets nothing from ${name}`, () => {
      const got = outcomes[`${page}-${name}`].filter(({ outcome }) => !["sent", "refused"].includes(outcome))
      assert.deepEqual(got, [])
    })
  }
}
await check("the attempts are real: a server that checks nothing gets all of them", () => {
  const means = ["GET", "PUT", "DELETE", "POST application/json", "POST text/plain", "POST undefined", "events", "socket",
    "POST application/x-www-form-urlencoded", "POST multipart/form-data"]
  // The browser asks before these, and the server does not permit them.
  const asked = ["PUT", "DELETE", "POST application/json"]
  const expected = [...means.map((by) => `rebind ${by}`), ...means.filter((by) => !asked.includes(by)).map((by) => `127 ${by}`)]
  assert.deepEqual(expected.filter((means) => !arrived.has(means)), [])
})
const allowedOutcomes = await within("the allowed page", 40, report("allowed").promise).catch((error) => [{ what: "ends", outcome: `${error}` }])
for (const { what, outcome } of allowedOutcomes) await check(`a page of an allowed origin ${what}`, () => assert.equal(outcome, ""))
await check("nothing has changed", async () => assert.deepEqual(await state(), before))
await check("no call of a page was accepted, other than those of the allowed one", async () => {
  assert.equal((await writes("api")).every((line) => /method="POST".*status="2xx".* 1$/.test(line)), true, `${await writes("api")}`)
  assert.deepEqual((await writes("broker")).filter((line) => !/method="PUT"/.test(line)), [])
})

await controlled.close()
await decoy.close()
process.exit(failed ? 1 : 0)
