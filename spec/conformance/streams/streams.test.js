// The protocol's own suite against a running server. It finds the server at STREAMS_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({
  baseUrl: process.env.STREAMS_URL,
  longPollTimeoutMs: 500,
  subscriptions: true,
})
