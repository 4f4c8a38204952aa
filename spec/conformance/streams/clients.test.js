// The official client and the official state library, used as an application uses them, against a server of our own.
import { DurableStream, IdempotentProducer, StaleEpochError, stream } from "@durable-streams/client"
import { MaterializedState, createStateSchema } from "@durable-streams/state"
import { createStreamDB } from "@durable-streams/state/db"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Server, durable } from "./server.js"

let server
let names = 0

beforeAll(async () => {
  server = await Server.start()
})
afterAll(() => server.stop())

/** A new stream of its own. */
const create = (contentType, options = {}) =>
  DurableStream.create({ url: server.url(`clients/${++names}`), contentType, ...options })

const json = (options) => create("application/json", options)

/** Everything that is there now. */
const items = async (url, options = {}) => (await stream({ url, live: false, ...options })).json()

/**
 * Collects what a follower gets; `until` waits for that number of items. Long-polls are repeated by the client. Events that break
 * off are an error to it, after which an application goes on from the offset that it has.
 */
const follow = async (url, live) => {
  const got = []
  const waiting = []
  let offset
  let response
  let ended = false
  const begin = async () => {
    response = await stream({ url, live, offset })
    response.closed.catch(() => ended || begin())
    response.subscribeJson(async (batch) => {
      got.push(...batch.items)
      offset = batch.offset
      waiting.filter((one) => got.length >= one.count).forEach((one) => one.resolve(got))
    })
  }
  await begin()
  const until = (count) =>
    new Promise((resolve) => (got.length >= count ? resolve(got) : waiting.push({ count, resolve })))
  const end = () => {
    ended = true
    response.cancel()
  }
  return { got, until, end }
}

/** Repeats what got no answer, which a producer leaves to its `fetch`: the server knows what it has already. */
const patiently = async (url, request) => {
  for (;;) {
    try {
      return await fetch(url, request)
    } catch (error) {
      if (request.signal?.aborted) throw error
      await setTimeout(20)
    }
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, index) => ({ n: from + index }))

describe("the client", () => {
  test("appends bytes and reads them back, as they are", async () => {
    const handle = await create("application/octet-stream")
    await handle.append(new Uint8Array([0, 10, 255]))
    await handle.append(new Uint8Array([13, 10]))
    const body = await (await handle.stream({ live: false })).body()
    expect([...body]).toEqual([0, 10, 255, 13, 10])
    const { exists, offset } = await handle.head()
    expect(exists).toBe(true)
    expect((await (await handle.stream({ offset, live: false })).body()).length).toBe(0)
  })

  test("appends JSON and reads messages from where it was", async () => {
    const handle = await json()
    await handle.append(JSON.stringify({ n: 0 }))
    const first = await handle.stream({ live: false })
    expect(await first.json()).toEqual([{ n: 0 }])
    await handle.append(JSON.stringify({ n: 1 }))
    await handle.append(JSON.stringify([{ n: 2 }]))
    expect(await items(handle.url, { offset: first.offset })).toEqual([{ n: 1 }, [{ n: 2 }]])
  })

  for (const live of ["long-poll", "sse"]) {
    test(`follows JSON by ${live}`, async () => {
      const handle = await json()
      await handle.append(JSON.stringify({ n: 0 }))
      const follower = await follow(handle.url, live)
      await follower.until(1)
      for (const item of range(1, 20)) await handle.append(JSON.stringify(item))
      expect(await follower.until(20)).toEqual(range(0, 20))
      follower.end()
    })

    test(`follows bytes by ${live}, to the end of the stream`, async () => {
      const handle = await create("application/octet-stream")
      const response = await handle.stream({ live })
      const bytes = []
      response.subscribeBytes(async (chunk) => void bytes.push(...chunk.data))
      await handle.append(new Uint8Array([1, 2]))
      await handle.append(new Uint8Array([250]))
      await handle.close({ body: new Uint8Array([3]) })
      await expect.poll(() => bytes).toEqual([1, 2, 250, 3])
      await response.closed
      expect(response.streamClosed).toBe(true)
    })
  }

  test("writes with a producer in batches, several in flight, each item once and in order", async () => {
    const handle = await json()
    const errors = []
    const options = { lingerMs: 1, maxBatchBytes: 512, maxInFlight: 5, onError: (error) => errors.push(error) }
    const producer = new IdempotentProducer(handle, "writer", options)
    for (const item of range(0, 2_000)) producer.append(JSON.stringify(item))
    await producer.flush()
    expect(errors).toEqual([])
    expect(producer.nextSeq).toBeGreaterThan(20)
    expect(await items(handle.url)).toEqual(range(0, 2_000))
    await producer.close(JSON.stringify({ last: true }))
    expect((await handle.head()).streamClosed).toBe(true)
  })

  test("reads everything that is there with one request, however much that is", async () => {
    const handle = await json()
    const producer = new IdempotentProducer(handle, "writer", { maxInFlight: 5 })
    const all = range(0, 5_000).map((item) => ({ ...item, text: "x".repeat(1_000) }))
    for (const item of all) producer.append(JSON.stringify(item))
    await producer.flush()
    expect(await items(handle.url)).toEqual(all)
    expect(await items(handle.url, { offset: (await handle.head()).offset })).toEqual([])
  })

  test("fences a producer off when another takes over", async () => {
    const handle = await json()
    const errors = []
    const old = new IdempotentProducer(handle, "writer", { onError: (error) => errors.push(error) })
    old.append(JSON.stringify({ n: 0 }))
    await old.flush()
    const heir = new IdempotentProducer(handle, "writer", { epoch: 1 })
    heir.append(JSON.stringify({ n: 1 }))
    await heir.flush()
    old.append(JSON.stringify({ n: "late" }))
    // The flush of a batch that was refused may fail too.
    await old.flush().catch(() => {})
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(StaleEpochError)
    // One that does not know the epoch claims the next.
    const claimer = new IdempotentProducer(handle, "writer", { autoClaim: true })
    claimer.append(JSON.stringify({ n: 2 }))
    await claimer.flush()
    expect(claimer.epoch).toBe(2)
    expect(await items(handle.url)).toEqual(range(0, 3))
  })

  test("forks a stream", async () => {
    const handle = await json()
    await handle.append(JSON.stringify({ n: 0 }))
    const { offset } = await handle.head()
    await handle.append(JSON.stringify({ n: 1 }))
    const source = new URL(handle.url).pathname
    const fork = await json({ headers: { "Stream-Forked-From": source, "Stream-Fork-Offset": offset } })
    await fork.append(JSON.stringify({ fork: true }))
    expect(await items(fork.url)).toEqual([{ n: 0 }, { fork: true }])
    expect(await items(handle.url)).toEqual(range(0, 2))
  })

  test("learns that a stream is gone", async () => {
    const handle = await json()
    await handle.delete()
    expect((await handle.head()).exists).toBe(false)
    await expect(handle.stream({ live: false })).rejects.toMatchObject({ status: 404 })
  })
})

const schema = { "~standard": { version: 1, vendor: "none", validate: (value) => ({ value }) } }
const state = createStateSchema({ users: { schema, type: "user", primaryKey: "id" } })
const { users } = state

/** What the changes of a stream make of the state. */
const materialized = async (url) => {
  const all = new MaterializedState()
  all.applyBatch(await items(url))
  return Object.fromEntries(all.getType("user"))
}

const change = (handle, event) => handle.append(JSON.stringify(event))

describe("the state library", () => {
  test("materialises inserts, updates and deletes", async () => {
    const handle = await json()
    await change(handle, users.insert({ value: { id: "1", name: "Ann" } }))
    await change(handle, users.insert({ value: { id: "2", name: "Bob" } }))
    await change(handle, users.update({ value: { id: "1", name: "Anna" } }))
    await change(handle, users.delete({ key: "2" }))
    expect(await materialized(handle.url)).toEqual({ 1: { id: "1", name: "Anna" } })
  })

  for (const live of ["long-poll", "sse"]) {
    test(`keeps a database up to date by ${live}`, async () => {
      const handle = await json()
      await change(handle, users.insert({ value: { id: "1", name: "Ann" } }))
      const db = createStreamDB({ streamOptions: { url: handle.url, contentType: "application/json" }, live, state })
      await db.preload()
      expect(db.collections.users.get("1")).toMatchObject({ name: "Ann" })
      await change(handle, users.update({ value: { id: "1", name: "Anna" } }))
      await change(handle, users.insert({ value: { id: "2", name: "Bob" } }))
      await change(handle, users.delete({ key: "1" }))
      await expect.poll(() => [...db.collections.users.keys()], { timeout: 10_000 }).toEqual(["2"])
      db.close()
    })
  }
})

describe.runIf(durable)("after the server was killed and started again", () => {
  for (const live of ["long-poll", "sse"]) {
    test(`a follower by ${live} goes on, and a producer too`, async () => {
      const handle = await json()
      const errors = []
      const batches = { lingerMs: 1, maxBatchBytes: 128, maxInFlight: 5, fetch: patiently }
      const producer = new IdempotentProducer(handle, "writer", { ...batches, onError: (error) => errors.push(error) })
      const follower = await follow(handle.url, live)
      for (const item of range(0, 300)) producer.append(JSON.stringify(item))
      await follower.until(50)
      await server.kill()
      for (const item of range(300, 400)) producer.append(JSON.stringify(item))
      await server.restart()
      await producer.flush()
      for (const item of range(400, 500)) producer.append(JSON.stringify(item))
      await producer.flush()
      expect(errors).toEqual([])
      expect(await items(handle.url)).toEqual(range(0, 500))
      expect(await follower.until(500)).toEqual(range(0, 500))
      follower.end()
    })
  }

  const open = async (url, live) => {
    const db = createStreamDB({ streamOptions: { url, contentType: "application/json" }, live, state })
    await db.preload()
    return db
  }

  test("a database goes on by long-poll", async () => {
    const handle = await json()
    await change(handle, users.insert({ value: { id: "1", name: "Ann" } }))
    const db = await open(handle.url, "long-poll")
    await server.kill()
    await server.restart()
    await change(handle, users.insert({ value: { id: "2", name: "Bob" } }))
    await change(handle, users.delete({ key: "1" }))
    await expect.poll(() => [...db.collections.users.keys()], { timeout: 20_000 }).toEqual(["2"])
    db.close()
  })

  test("a database is opened again by sse", async () => {
    const handle = await json()
    await change(handle, users.insert({ value: { id: "1", name: "Ann" } }))
    await server.kill()
    await server.restart()
    const db = await open(handle.url, "sse")
    await change(handle, users.insert({ value: { id: "2", name: "Bob" } }))
    await change(handle, users.delete({ key: "1" }))
    await expect.poll(() => [...db.collections.users.keys()], { timeout: 20_000 }).toEqual(["2"])
    db.close()
  })

  test("state is what it was", async () => {
    const handle = await json()
    await change(handle, users.insert({ value: { id: "1", name: "Ann" } }))
    await change(handle, users.insert({ value: { id: "2", name: "Bob" } }))
    await change(handle, users.delete({ key: "2" }))
    await server.kill()
    await server.restart()
    await change(handle, users.update({ value: { id: "1", name: "Anna" } }))
    expect(await materialized(handle.url)).toEqual({ 1: { id: "1", name: "Anna" } })
  })
})
