// Answers every message it gets: `partner.mjs ADDRESS ROLE DIALECT REPLY`. Ends when its input does.

import { Service } from "./service.mjs";

const [address, role, dialect, reply] = process.argv.slice(2);
const broker = { address, count: async () => 0, has: async () => {} };
const service = await Service.open(broker, role, { dialect });
process.stdin.on("end", () => process.exit()).resume();
for (;;) {
  const request = await service.next();
  service.reply(request, reply, { heard: request.payload, by: "node" }, request.auth ? { auth: request.auth } : {});
}
