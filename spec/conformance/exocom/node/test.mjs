// Drives a broker as services written in JavaScript did.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";
import { Broker, eventually } from "./broker.mjs";
import { Report } from "./report.mjs";
import { Service, within } from "./service.mjs";

const LANDSCAPE = {
  web: { sends: ["create user", "tweets create", "note", "all hands"], receives: ["user created", "tweets created"] },
  users: { sends: ["user created"], receives: ["create user", "all hands"] },
  tweets: {
    sends: ["text-snippets created"],
    receives: ["text-snippets create"],
    translations: [
      { public: "tweets create", internal: "text-snippets create" },
      { public: "tweets created", internal: "text-snippets created" },
    ],
  },
  log: { receives: ["note", "all hands"] },
};

/** Opens services for one check and closes them behind it. */
async function stage(broker, roles, run) {
  const services = [];
  try {
    for (const [role, options] of roles) services.push(await Service.open(broker, role, options));
    await run(...services);
  } finally {
    for (const service of services) if (service.socket.readyState < WebSocket.CLOSING) await service.terminate();
    for (const [role] of roles) await broker.has(role, 0);
  }
}

async function roundTrip(broker, asking, answering) {
  await stage(broker, [["web", asking], ["users", answering]], async (web, users) => {
    const request = web.send("create user", { name: "Will Riker" });
    const asked = await users.next();
    assert.equal(asked.id, request.id);
    assert.equal(asked.name, "create user");
    assert.equal(asked.sender, "web");
    assert.deepEqual(asked.payload, { name: "Will Riker" });
    const reply = users.reply(asked, "user created", { id: 456 });
    const answer = await web.next();
    assert.equal(answer.id, reply.id);
    assert.deepEqual(answer.payload, { id: 456 });
    if (web.dialect === "3b") assert.equal(answer.activityId, request.activityId);
    else assert.equal(answer.responseTo, request.id);
    assert.ok(answer.responseTime > 0, "the time since the request is included");
  });
}

async function withPartner(broker, dialect, asking) {
  const command = JSON.parse(process.env.PARTNER);
  const partner = spawn(command[0], [...command.slice(1), broker.address, "users", dialect, "user created"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  try {
    await broker.has("users", 1);
    await stage(broker, [["web", asking]], async (web) => {
      for (const payload of [{ name: "Will Riker" }, ["ü", null, 1.5], "", 0]) {
        const request = web.send("create user", payload);
        const answer = await web.next();
        assert.equal(answer.name, "user created");
        assert.deepEqual(answer.payload, { heard: payload, by: "python" });
        if (web.dialect === "3b") assert.equal(answer.activityId, request.activityId);
        else assert.equal(answer.responseTo, request.id);
      }
    });
  } finally {
    partner.kill();
    await broker.has("users", 0);
  }
}

async function stickyActivities(broker) {
  await stage(broker, [["web"], ["users"], ["users"]], async (web, first, second) => {
    const activities = Array.from({ length: 20 }, () => randomUUID());
    for (let round = 0; round < 3; round += 1) {
      for (const activityId of activities) web.send("create user", { round }, { activityId });
    }
    const served = new Map();
    const serve = async (service) => {
      for (;;) {
        const { activityId, payload } = await service.next();
        const known = served.get(activityId) ?? { service, rounds: [] };
        assert.equal(known.service, service, "an activity has left its instance");
        known.rounds.push(payload.round);
        served.set(activityId, known);
      }
    };
    const failed = Promise.race([serve(first), serve(second)]);
    const done = eventually("all messages", () => [...served.values()].flatMap((one) => one.rounds).length === 60);
    await Promise.race([failed, done]);
    for (const { rounds } of served.values()) assert.deepEqual(rounds, [0, 1, 2]);
    const both = new Set([...served.values()].map((one) => one.service));
    assert.equal(both.size, 2, "both instances have work");
    failed.catch(() => {});
  });
}

async function answersFindTheInstance(broker) {
  await stage(broker, [["web"], ["web"], ["users"]], async (first, second, users) => {
    for (const [web, payload] of [[first, 1], [second, 2], [second, 3], [first, 4]]) {
      web.send("create user", payload);
      users.reply(await users.next(), "user created", payload);
      assert.equal((await web.next()).payload, payload);
    }
  });
}

async function translation(broker) {
  await stage(broker, [["web"], ["tweets"]], async (web, tweets) => {
    const request = web.send("tweets create", { text: "hi" });
    const asked = await tweets.next();
    assert.equal(asked.name, "text-snippets create");
    tweets.reply(asked, "text-snippets created", { id: 1 });
    const answer = await web.next();
    assert.equal(answer.name, "tweets created");
    assert.equal(answer.activityId, request.activityId);
  });
}

async function authAndSecurityMark(broker) {
  await stage(broker, [["web"], ["users"]], async (web, users) => {
    web.send("create user", null, { auth: { sessionId: "s1" }, isSecurity: true });
    const asked = await users.next();
    assert.deepEqual(asked.auth, { sessionId: "s1" });
    assert.equal(asked.isSecurity, true);
    users.reply(asked, "user created", undefined, { auth: asked.auth });
    const answer = await web.next();
    assert.deepEqual(answer.auth, { sessionId: "s1" });
    assert.equal(answer.isSecurity, false);
    assert.equal(answer.payload, null);
  });
}

async function everyRoleGetsIt(broker) {
  await stage(broker, [["web"], ["users"], ["log"]], async (web, users, log) => {
    const { id } = web.send("all hands", {});
    assert.equal((await users.next()).id, id);
    assert.equal((await log.next()).id, id);
  });
}

async function forbiddenMessages(broker) {
  await stage(broker, [["web"], ["log"], ["users", { register: false }]], async (web, log, stranger) => {
    web.send("get SSN", 1);
    web.send("user created", 2);
    stranger.send("note", 3);
    stranger.sendFrame({ name: "note", id: "4", activityId: "4" });
    // Not who is connected counts, but who the frame says it is from.
    stranger.send("note", 5, { sender: "web" });
    assert.equal((await log.next()).payload, 5);
  });
}

async function politeEnd(broker, code) {
  const users = await Service.open(broker, "users");
  const end = await users.close(code);
  assert.equal(end.code, code, "the close frame is answered");
  await broker.has("users", 0);
  await roundTrip(broker);
}

async function abruptEnd(broker) {
  const users = await Service.open(broker, "users");
  await users.terminate();
  await broker.has("users", 0);
  await roundTrip(broker);
}

async function pings(broker) {
  await stage(broker, [["web"], ["users", { frames: "binary" }]], async (web, users) => {
    const pong = new Promise((resolve) => web.socket.once("pong", (data) => resolve(data.toString())));
    web.socket.ping("are you there");
    assert.equal(await within("a pong", pong), "are you there");
    // Longer than the broker waits for a sign of life, which the library under the services gives.
    await eventually("pings of the broker", () => web.pings >= 5 && users.pings >= 5);
    web.send("create user", 1);
    assert.equal((await users.next()).payload, 1);
  });
}

async function garbage(broker) {
  await stage(broker, [["web"], ["users"]], async (web, users) => {
    const bad = ["", "no JSON", "5", "[]", '["create user"]', "{}", '{"name":5,"id":"1"}', '{"name":"create user","id":1}',
      '{"name":"create user","id":"1","sender":["web"]}', '{"name":"exocom.register-service","id":"1"}', '{"name":"'];
    for (const text of bad) web.sendText(text);
    for (const [key, value] of [["activityId", 5], ["isSecurity", "yes"], ["name", null], ["id", {}], ["responseTo", []]]) {
      web.send("create user", key, { [key]: value });
    }
    web.send("create user", "good", { timestamp: 5, responseTime: "soon", colour: "red" });
    assert.equal((await users.next()).payload, "good");
  });
}

async function largeFrames(broker) {
  await stage(broker, [["web"], ["users"]], async (web, users) => {
    web.send("create user", "x".repeat(5_000_000));
    assert.equal((await users.next()).payload.length, 5_000_000);
    web.send("create user", "x".repeat(17 * 1024 * 1024));
    assert.equal((await within("the end", web.ended)).code, 1006);
  });
}

async function foreignPages(broker) {
  const open = (origin) => {
    const socket = new WebSocket(`ws://${broker.address}/services`, { origin });
    return new Promise((resolve) => {
      socket.once("open", () => resolve("open") ?? socket.terminate());
      socket.once("unexpected-response", (request, answer) => resolve(answer.statusCode) ?? request.destroy());
      socket.on("error", () => {});
    });
  };
  assert.equal(await open("http://elsewhere.example"), 403);
  assert.equal(await open(`http://${broker.address}`), 403);
  assert.equal(await open("http://app.example"), "open");
}

async function restart(settings) {
  let broker = await Broker.start(LANDSCAPE, settings);
  const { address } = broker;
  const users = await Service.open(broker, "users");
  await broker.stop("SIGKILL");
  await within("the end", users.ended);
  broker = await Broker.start(LANDSCAPE, settings, address);
  const web = await Service.open(broker, "web");
  const { id } = web.send("create user", "while it was away");
  const back = await Service.open(broker, "users");
  assert.equal((await back.next()).id, id);
  assert.equal(await broker.stop("SIGTERM"), 0);
  // Clients of the original in Go live on only if the connection just ends.
  assert.equal((await within("the end", back.ended)).code, 1006);
}

const report = new Report();
const broker = await Broker.start(LANDSCAPE, {
  EXORELAY__BROKER__HEARTBEAT_MS: "500",
  EXORELAY__BROKER__CORS_ORIGINS: "http://app.example",
});
const check = (name, run, ...more) => report.check(name, () => run(broker, ...more));
for (const frames of ["text", "binary"]) {
  for (const asking of ["3a", "3b"]) {
    for (const answering of ["3a", "3b"]) {
      const options = [{ dialect: asking, frames }, { dialect: answering, frames }];
      await check(`${asking} asks ${answering} in ${frames} frames`, roundTrip, ...options);
    }
  }
}
for (const dialect of ["3a", "3b"]) {
  await check(`${dialect} asks a partner in Python of 3a`, withPartner, "3a", { dialect });
  await check(`${dialect} asks a partner in Python of 3b`, withPartner, "3b", { dialect });
}
await check("an activity stays with one of two instances", stickyActivities);
await check("an answer finds the instance that asked", answersFindTheInstance);
await check("names are translated both ways", translation);
await check("auth and isSecurity are kept", authAndSecurityMark);
await check("every role that receives a message gets it", everyRoleGetsIt);
await check("what a role may not send reaches nobody", forbiddenMessages);
await check("a polite end with 1000 is answered and harms nobody", politeEnd, 1000);
await check("a polite end with 1001 is answered and harms nobody", politeEnd, 1001);
await check("an abrupt end harms nobody", abruptEnd);
await check("pings are answered both ways", pings);
await check("frames that are no messages cost nothing", garbage);
await check("5 MB pass, and too much ends with a reset", largeFrames);
await check("only pages of listed origins may connect", foreignPages);
await check("a broker that comes back is met again, and keeps what came early", () => restart({}));
await broker.stop();
process.exit(report.failed ? 1 : 0);
