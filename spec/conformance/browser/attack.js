// The attempts of a page to use a listener. Each ends with `leaked` (the page read an answer, or a connection opened), `sent`
// (the page cannot know), or `refused`.

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function read(url, options = {}) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(3000), ...options })
    if (answer.type === "opaque") return "sent"
    return answer.status === 403 ? "refused" : "leaked"
  } catch {
    return "refused"
  }
}

function follow(url) {
  return new Promise((resolve) => {
    const source = new EventSource(url)
    const end = (outcome) => resolve(outcome) ?? source.close()
    source.onopen = () => end("leaked")
    source.onerror = () => end("refused")
    setTimeout(() => end("refused"), 3000)
  })
}

function connect(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url.replace("http", "ws"))
    socket.onopen = () => resolve("leaked") ?? socket.close()
    socket.onerror = () => resolve("refused")
    setTimeout(() => resolve("refused"), 3000)
  })
}

function submit(url, enctype, body, target) {
  const form = document.createElement("form")
  Object.assign(form, { method: "POST", action: url, enctype, target })
  const field = document.createElement("input")
  // As text this is JSON: the `=` between name and value is inside a string.
  const [name, value] = body.startsWith("{") ? [body.slice(0, -1) + ',"x":"', '"}'] : [body, ""]
  Object.assign(field, { name, value })
  form.append(field)
  document.body.append(form)
  form.submit()
}

/** Posts a form, which replaces a frame. */
function postForm(url, enctype, body) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe")
    frame.name = `frame${Math.random()}`
    document.body.append(frame)
    frame.onload = () => resolve("sent")
    setTimeout(() => resolve("sent"), 2000)
    submit(url, enctype, body, frame.name)
  })
}

/** Posts a form as a window of its own, as a person who clicks would. */
async function postWindow(url, enctype, body) {
  const name = `window${Math.random()}`
  const opened = window.open("about:blank", name)
  if (!opened) return "no window"
  submit(url, enctype, body, name)
  await pause(500)
  opened.close()
  return "sent"
}

function embed(url) {
  return new Promise((resolve) => {
    const image = new Image()
    image.onload = () => resolve("leaked")
    image.onerror = () => resolve("sent")
    setTimeout(() => resolve("sent"), 2000)
    image.src = url
  })
}

/** Tries everything with one target: `{url, writes: [[path, body]], reads: [path], follows: [path], sockets: [path]}`. */
export async function attack({ url, writes, reads, follows, sockets }) {
  const attempts = []
  const attempt = (what, made) => attempts.push(made.then((outcome) => ({ what, outcome })))
  for (const [path, body] of writes) {
    const to = url + path
    for (const method of ["POST", "PUT", "DELETE"]) {
      attempt(`${method} ${path}`, read(to, { method, headers: { "content-type": "application/json" }, body }))
    }
    attempt(`text ${path}`, read(to, { method: "POST", headers: { "content-type": "text/plain" }, body }))
    attempt(`no type ${path}`, read(to, { method: "POST", body: new Blob([body]) }))
    attempt(`no-cors ${path}`, read(to, { method: "POST", mode: "no-cors", body }))
    attempt(`beacon ${path}`, Promise.resolve(navigator.sendBeacon(to, body) ? "sent" : "refused"))
    for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      attempt(`form ${enctype} ${path}`, postForm(to, enctype, body))
    }
    attempt(`window ${path}`, postWindow(to, "text/plain", body))
  }
  for (const path of reads) {
    attempt(`GET ${path}`, read(url + path))
    attempt(`no-cors GET ${path}`, read(url + path, { mode: "no-cors" }))
    attempt(`image ${path}`, embed(url + path))
  }
  for (const path of follows) attempt(`EventSource ${path}`, follow(url + path))
  for (const path of sockets) attempt(`WebSocket ${path}`, connect(url + path))
  return Promise.all(attempts)
}
