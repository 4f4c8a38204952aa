// The Moleculer node that makes the load. Reads one JSON order a line from stdin:
//   {"payloadBytes", "seconds", "inFlight"} or {"payloadBytes", "seconds", "perSecond", "connections"}
// and answers each with one line of figures:
//   {"requests", "errors", "firstError", "perSecond", "p50Ms", "p99Ms"}
"use strict";

const { createHistogram } = require("perf_hooks");
const readline = require("readline");
const { Worker } = require("worker_threads");
const { broker: makeBroker, say } = require("./node");

const LATENCY_NS_MAX = 120_000_000_000;
const CALL_WAIT_MS = 10_000;
const FAILED_PAUSE_MS = 20;

const now = () => process.hrtime.bigint();

class Recorder {
  constructor() {
    this.latencies = createHistogram({ lowest: 1, highest: LATENCY_NS_MAX, figures: 3 });
    this.errors = 0;
    this.firstError = null;
  }

  success(since) {
    const took = now() - since;
    this.latencies.record(took > 0n ? took : 1n);
  }

  async failure(error) {
    this.errors += 1;
    this.firstError ??= String(error && error.message ? error.message : error);
    await new Promise((resume) => setTimeout(resume, FAILED_PAUSE_MS));
  }

  figures(begun) {
    const seconds = Number(now() - begun) / 1e9;
    return {
      requests: this.latencies.count,
      errors: this.errors,
      firstError: this.firstError,
      perSecond: this.latencies.count / seconds,
      p50Ms: this.latencies.percentile(50) / 1e6,
      p99Ms: this.latencies.percentile(99) / 1e6,
    };
  }
}

async function oneCall(broker, payload, since, recorder) {
  try {
    const answer = await broker.call("echo.run", payload, { timeout: CALL_WAIT_MS });
    if (answer.text !== payload.text) throw new Error("the answer is not the payload");
    recorder.success(since);
  } catch (error) {
    await recorder.failure(error);
  }
}

async function closedLoop(broker, payload, { seconds, inFlight }, recorder) {
  const end = now() + BigInt(Math.round(seconds * 1e9));
  const slot = async () => {
    for (let since = now(); since < end; since = now()) await oneCall(broker, payload, since, recorder);
  };
  await Promise.all(Array.from({ length: inFlight }, slot));
}

// A thread of its own keeps the pace, because timers are no finer than a millisecond. It ends after `total` ticks.
const PACER = `
  const { parentPort, workerData: { start, interval, total } } = require("worker_threads");
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let index = 0; index < total; index++) {
    const wait = Number(start + BigInt(index) * interval - process.hrtime.bigint()) / 1e6;
    if (wait > 0) Atomics.wait(cell, 0, 0, wait);
    parentPort.postMessage(index);
  }`;

// A call's latency counts from the moment it should have been sent; at most `connections` are in flight, as for others.
async function openLoop(broker, payload, { seconds, perSecond, connections }, recorder) {
  const interval = BigInt(Math.round(1e9 / perSecond));
  const total = Math.floor(seconds * perSecond);
  const start = now() + 50_000_000n; // the thread needs some time to start
  const waiting = [];
  const idle = [];
  let left = total;
  const pacer = new Worker(PACER, { eval: true, workerData: { start, interval, total } });
  pacer.on("message", (index) => {
    left -= 1;
    waiting.push(start + BigInt(index) * interval);
    const wake = idle.pop();
    if (wake) wake();
    if (left === 0) idle.splice(0).forEach((wakeRest) => wakeRest());
  });
  const slot = async () => {
    for (;;) {
      const since = waiting.shift();
      if (since !== undefined) await oneCall(broker, payload, since, recorder);
      else if (left === 0) return;
      else await new Promise((wake) => idle.push(wake));
    }
  };
  await Promise.all(Array.from({ length: connections }, slot));
  await pacer.terminate();
  return start;
}

async function carryOut(broker, order) {
  const frame = '{"text":""}';
  const payload = { text: "x".repeat(order.payloadBytes - frame.length) };
  const recorder = new Recorder();
  const begun = now();
  const loop = order.perSecond ? openLoop : closedLoop;
  const started = await loop(broker, payload, order, recorder);
  return recorder.figures(started ?? begun);
}

async function main() {
  const broker = makeBroker("caller", [`${process.argv[2]}/echo`]);
  await broker.start();
  await broker.waitForServices("echo", 15_000);
  say({ system: "caller", status: "ready", address: process.argv[2] });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    say(await carryOut(broker, JSON.parse(line)));
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
