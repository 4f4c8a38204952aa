Feature: Outages
  Sidecar, service and broker start, stop and fail in any order. What was accepted is kept as long as the process lives.

  Scenario: The broker comes up after the relay
    Given nothing listens where the broker should be
    And the relay "web" uses that broker
    When "web" sends 3 messages called "users.create"
    And the broker comes up, with a service "users" that receives "users.create"
    Then "users" gets the 3 messages in the order of sending

  Scenario: The broker restarts in the middle
    Given a broker over HTTP, with a service "users" that receives "users.create"
    And the relay "web" uses that broker
    When the broker stops
    And "web" sends 3 messages called "users.create"
    And the broker comes up, with a service "users" that receives "users.create"
    Then "users" gets the 3 messages in the order of sending

  Scenario: The outbox is bounded
    Given nothing listens where the broker should be
    And the relay "web" with 2 places in its outbox uses that broker
    When "web" sends messages until one is refused
    Then that fails with the words "the outbox is full (limit 2)"

  Scenario: A service that takes nothing delays only what is sent to it
    Given a broker over HTTP with 2 places in each queue
    And a service "slow" of that broker that never finishes a "report.make"
    And a service "users" of that broker that receives "users.create"
    And the relay "web" uses that broker
    When "web" sends 50 messages called "report.make"
    And "web" sends 3 messages called "users.create"
    Then "users" gets the 3 messages in the order of sending
    When "web" requests "report.make" without payload
    Then that fails with the words "a receiver's queue, or the table of open requests of the broker, is full: try again in"

  Scenario: A request fails at once while the bus is away
    Given nothing listens where the broker should be
    And the relay "web" uses that broker
    When "web" requests "users.list" without payload
    Then that fails with the words "the bus is unreachable: cannot connect to"

  Scenario: A relay reports when it is online and offline
    Given a broker over HTTP, with a service "users" that receives "users.create"
    And somebody follows the events of the relay "web" of that broker
    When the broker stops
    And "web" sends 1 messages called "users.create"
    And the broker comes up, with a service "users" that receives "users.create"
    Then the events are online, offline, online

  Scenario: A relay that registers with an original broker reports what to do
    Given a recording broker
    When the relay "web" tries to register there
    Then its problem is reported with the words "it does not support registration; for an original ExoCom broker use --register off"

  Scenario: A relay closes
    Given a bus in this process
    And the relay "web" is on the bus
    And the relay "users" is on the bus
    And "users" has a handler for "ping" that replies "pong" with `1` after 150 ms
    When "web" starts to request "ping", and then "users" is closed
    Then the request is answered by "pong" with `1`
    And nobody receives "ping" any more
    And sending from "users" fails: "the relay is closed"
