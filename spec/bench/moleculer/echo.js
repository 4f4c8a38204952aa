// The Moleculer node with the service `echo`, whose action `run` answers with the parameters it got.
"use strict";

const { broker: makeBroker, say, endWithParent } = require("./node");

const broker = makeBroker("echo", null);
broker.createService({ name: "echo", actions: { run: (ctx) => ctx.params } });
broker.start().then(() => {
  const { port } = broker.transit.tx.opts;
  say({ system: "echo", status: "ready", address: `127.0.0.1:${port}` });
  endWithParent();
});
