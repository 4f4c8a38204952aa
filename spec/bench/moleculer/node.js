// What both Moleculer nodes share: a broker on the TCP transporter that stays on the loopback interface.
"use strict";

// A node announces its host name to its peers, which may lead to another interface.
require("os").hostname = () => "127.0.0.1";
const { ServiceBroker } = require("moleculer");

exports.broker = (nodeID, urls) =>
  new ServiceBroker({
    nodeID,
    logger: false,
    metrics: false,
    tracing: false,
    transporter: { type: "TCP", options: { udpDiscovery: false, port: null, urls } },
  });

exports.say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

// The benchmark holds the other end; when it goes, so does the node.
exports.endWithParent = () => process.stdin.on("end", () => process.exit(0)).resume();
