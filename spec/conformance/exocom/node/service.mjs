// A service of the WebSocket era as its JavaScript relay was seen on the wire.
//
// 3a (2016-11 to 2017-07): replies are found by responseTo. 3b (2017-08 and later): by activityId.

import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

const PATIENCE_MS = 30_000;

/** The keys of a message from the broker in 3b, in the only order its Go clients were ever sent. */
const KEYS_3B = ["activityId", "auth", "id", "isSecurity", "name", "payload", "responseTime", "sender", "timestamp"];
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Resolves as the promise does, or fails with what it waits for. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Service {
  #waiting = [];
  #arrived = [];

  /** Opens the socket, and registers unless told otherwise. */
  static async open(broker, role, { dialect = "3b", frames = "text", register = true, headers = {} } = {}) {
    const service = new Service();
    Object.assign(service, { role, dialect, frames, pings: 0 });
    service.socket = new WebSocket(`ws://${broker.address}/services`, { headers, maxPayload: 64 * 1024 * 1024 });
    service.ended = new Promise((resolve) => service.socket.once("close", (code, why) => resolve({ code, why })));
    service.socket.on("ping", () => (service.pings += 1));
    service.socket.on("message", (data, isBinary) => service.#take(data.toString(), isBinary));
    await within("an open socket", new Promise((resolve, reject) => {
      service.socket.once("open", resolve).once("error", reject);
    }));
    service.socket.on("error", () => {}); // what follows an error is a close, which the tests look at
    if (register) {
      const before = await broker.count(role);
      service.register();
      await broker.has(role, before + 1);
    }
    return service;
  }

  /** The frame that registers, as either dialect has it. */
  register(role = this.role) {
    const frame = { name: "exocom.register-service", sender: role, id: randomUUID() };
    const conversation = this.dialect === "3b" ? { activityId: randomUUID() } : {};
    this.sendFrame({ ...frame, ...conversation, payload: { clientName: role } });
  }

  sendFrame(frame) {
    this.sendText(JSON.stringify(frame));
  }

  sendText(text) {
    this.socket.send(text, { binary: this.frames === "binary" });
  }

  /** Sends a message; in 3b it opens a conversation unless it is part of one. */
  send(name, payload, more = {}) {
    const conversation = this.dialect === "3b" ? { activityId: randomUUID() } : {};
    const frame = { name, sender: this.role, id: randomUUID(), ...conversation, payload, ...more };
    this.sendFrame(frame);
    return frame;
  }

  reply(request, name, payload, more = {}) {
    const link = this.dialect === "3b" ? { activityId: request.activityId } : { responseTo: request.id };
    return this.send(name, payload, { ...link, ...more });
  }

  /** The next message, which must be as its dialect wants it. */
  async next() {
    const waiting = new Promise((resolve) => this.#waiting.push(resolve));
    this.#hand();
    const { text, isBinary } = await within(`a message for ${this.role}`, waiting);
    if (isBinary) throw new Error("the broker sends text frames");
    return this.dialect === "3b" ? decode3b(text) : decode3a(text);
  }

  /** Says that it goes, and answers how the other end took it. */
  close(code) {
    this.socket.close(code, "done");
    return within("the end", this.ended);
  }

  /** Just goes. */
  terminate() {
    this.socket.terminate();
    return within("the end", this.ended);
  }

  #take(text, isBinary) {
    this.#arrived.push({ text, isBinary });
    this.#hand();
  }

  #hand() {
    while (this.#arrived.length && this.#waiting.length) this.#waiting.shift()(this.#arrived.shift());
  }
}

/** Decodes as strictly as a Go client: nine keys, each with its type. */
export function decode3b(text) {
  const frame = JSON.parse(text);
  const keys = Object.keys(frame).join();
  if (keys !== KEYS_3B.join()) throw new Error(`the keys are ${keys}`);
  for (const key of ["activityId", "id", "name", "sender", "timestamp"]) {
    if (typeof frame[key] !== "string") throw new Error(`${key} is no string: ${text}`);
  }
  if (typeof frame.isSecurity !== "boolean") throw new Error(`isSecurity is no boolean: ${text}`);
  if (!/"responseTime":\d+,/.test(text)) throw new Error(`responseTime is no integer: ${text}`);
  if (!RFC_3339.test(frame.timestamp)) throw new Error(`timestamp is not RFC 3339: ${text}`);
  return frame;
}

/** Five keys, and two more on replies. */
export function decode3a(text) {
  const frame = JSON.parse(text);
  const wrong = Object.keys(frame).filter(
    (key) => !["name", "id", "payload", "timestamp", "responseTime", "responseTo", "sender"].includes(key),
  );
  if (wrong.length) throw new Error(`keys of another dialect: ${wrong}`);
  if (typeof frame.timestamp !== "number") throw new Error(`timestamp is no number: ${text}`);
  if ("responseTo" in frame !== "responseTime" in frame) throw new Error(`one key of a reply alone: ${text}`);
  return frame;
}
