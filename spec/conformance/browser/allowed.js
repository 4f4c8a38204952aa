// The calls of a page whose origin is listed. Each check throws, or is done.

import { DurableStream } from "/client.js"

const within = (what, made) =>
  Promise.race([made, new Promise((_, reject) => setTimeout(() => reject(new Error(`${what}: no answer`)), 8000))])

function expect(condition, text) {
  if (!condition) throw new Error(text)
}

const json = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })

function opens(source) {
  return new Promise((resolve, reject) => {
    source.onopen = () => resolve(source.close())
    source.onerror = () => reject(new Error("it did not open"))
  })
}

export const checks = {
  "requests a message and reads the reply": async ({ api }) => {
    const answer = await fetch(`${api}/request/hello`, json({ name: "world" }))
    expect(answer.status === 200 && (await answer.text()).includes("world"), `${answer.status}`)
    expect(answer.headers.get("exo-message") === "greeting", "the name of the reply is hidden")
  },
  "follows messages": ({ api }) => opens(new EventSource(`${api}/messages`)),
  "lists the services of the broker": async ({ broker }) => {
    expect((await (await fetch(`${broker}/services`)).json()).services.length > 0, "there are none")
  },
  "opens a socket at the broker": ({ broker }) => opens(new WebSocket(`${broker.replace("http", "ws")}/services`)),
  "asks whether the process is ready": async ({ ops }) => expect((await fetch(`${ops}/ready`)).ok, "it is not"),
  "uses streams with the official client": async ({ edge }) => {
    const url = `${edge}/v1/stream/allowed`
    const stream = await DurableStream.create({ url, contentType: "text/plain" })
    await stream.append("hello")
    const answer = await (await DurableStream.connect({ url })).stream({ offset: "-1", live: false })
    expect((await answer.text()) === "hello", "another text came back")
    await opens(new EventSource(`${url}?offset=-1&live=sse`))
    await DurableStream.delete({ url })
  },
}

export async function checkAll(listeners) {
  const outcomes = []
  for (const [what, run] of Object.entries(checks)) {
    const outcome = await within(what, run(listeners)).then(() => "", (error) => `${error}`)
    outcomes.push({ what, outcome })
  }
  return outcomes
}
