// The web service: accepts HTTP requests and calls the users service over the bus, with one call to its sidecar.
//
//   curl -d '{"name":"Will Riker"}' http://127.0.0.1:3000/signup
//
// Settings: PORT (3000; 0 takes a free one), HOST (127.0.0.1; 0.0.0.0 in a container),
// SIDECAR (http://127.0.0.1:4001).

import { createServer } from 'node:http'

const { PORT = '3000', HOST = '127.0.0.1', SIDECAR = 'http://127.0.0.1:4001' } = process.env
const BODY_CHARS_MAX = 100 * 1024
const SIDECAR_WAIT_MS = 30_000

const server = createServer(async (request, response) => {
  const answer = (status, value, headers = {}) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
  if (request.url !== '/signup') return answer(404, { error: 'there is only /signup' })
  if (request.method !== 'POST') return answer(405, { error: 'POST a name' }, { allow: 'POST' })
  try {
    const name = await nameIn(request)
    if (!name) return answer(400, { error: 'send a name, like {"name":"Will Riker"}' })
    const { status, value, headers } = await signUp(name)
    answer(status, value, headers)
  } catch (error) {
    console.error(`cannot ask the sidecar: ${error.cause?.message ?? error.message}`)
    if (!response.headersSent) answer(502, { error: 'the sidecar cannot be reached' })
  }
})

/** Returns the name in the body; undefined if the body is too large, is not JSON or has no name. */
async function nameIn(request) {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) {
    if (body.length <= BODY_CHARS_MAX) body += chunk
  }
  if (body.length > BODY_CHARS_MAX) return undefined
  try {
    const { name } = JSON.parse(body)
    return typeof name === 'string' ? name : undefined
  } catch {
    return undefined
  }
}

/** Sends `users.create`, waits for the reply and translates it into an HTTP answer. */
async function signUp(name) {
  const reply = await fetch(`${SIDECAR}/request/users.create`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
    signal: AbortSignal.timeout(SIDECAR_WAIT_MS),
  })
  const value = await reply.json().catch(() => null)
  if (reply.ok) return { status: 201, value }
  if (reply.status === 504) return { status: 504, value: { error: 'nobody answered in time' } }
  if (reply.status === 503) {
    const headers = { 'retry-after': reply.headers.get('retry-after') ?? '1' }
    return { status: 503, value: { error: 'busy, try again' }, headers }
  }
  console.error(`the sidecar answered ${reply.status}`, value)
  return { status: 502, value: { error: 'the request failed' } }
}

server.listen(Number(PORT), HOST, () => {
  console.log(`web service ready on ${HOST}:${server.address().port}`)
})

// Finishes the requests in progress, then ends.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => server.close())
