Feature: Testing a service without a broker
  A mock broker replaces the broker: it records what a service sends, and sends what a test wants the service to receive. Services of both eras find it at one port.

  Background:
    Given a mock broker

  Scenario: A service registers over a WebSocket
    When "users" connects to the mock broker over a WebSocket
    Then the mock broker knows "users"
    And the mock broker has received nothing
    When "users" is cut off
    Then the mock broker does not know "users" any more

  Scenario: A service registers over HTTP
    Given the relay "users" uses the mock broker
    Then the mock broker knows "users"
    And the mock broker does not know "web"

  Scenario: Nothing is received
    Then the mock broker has received nothing

  Scenario: Messages are received in their order
    Given the relay "web" uses the mock broker
    When "web" sends "users.create" with `{"name":"Will"}`
    And "web" sends "users.list" with `1`
    Then the mock broker has received "users.create" with `{"name":"Will"}`, "users.list" with `1`, each with an id of its own

  Scenario: Messages are received over a WebSocket
    Given "web" connects to the mock broker over a WebSocket
    When "web" sends the frame "create user" with `{"name":"Will"}` in the activity "336"
    Then the mock broker receives "create user" with `{"name":"Will"}` from "web"

  Scenario: What was received is forgotten
    Given the relay "web" uses the mock broker
    When "web" sends "users.create" without payload
    Then the mock broker receives "users.create" without payload
    When the mock broker is reset
    Then the mock broker has received nothing
    And the mock broker knows "web"

  Scenario: Sending to a service that is registered
    Given a service that answers every message
    And the service is registered with it as "users"
    When the mock broker sends "users.create" with `{"name":"Will"}` to "users"
    Then the service gets "users.create" with payload `{"name":"Will"}`
    And the last response code is 200

  Scenario: Sending to a service that refuses
    Given a service that answers 404 to every message
    And the service is registered with it as "users"
    When the mock broker sends "zonk" to "users"
    Then the last response code is 404

  Scenario: Sending to a service on a WebSocket
    Given "users" connects to the mock broker over a WebSocket
    When the mock broker sends "create user" with `{"name":"Will"}` in the activity "336" to "users"
    Then "users" gets the frame "create user" with `{"name":"Will"}` in the activity "336"

  Scenario: Sending to an unknown service
    When the mock broker sends "users.create" to "zonk"
    Then sending fails: "unknown service: 'zonk'"

  Scenario: Waiting before a message comes
    Given the relay "web" uses the mock broker
    When somebody waits for any message at the mock broker
    Then the wait goes on
    When "web" sends "hello" without payload
    Then the wait ends with "hello"

  Scenario: Waiting for a message that is there already
    Given the relay "web" uses the mock broker
    When "web" sends "hello" without payload
    Then the mock broker receives "hello"
    When somebody waits for any message at the mock broker
    Then the wait ends with "hello"

  Scenario: Waiting after a reset
    Given the relay "web" uses the mock broker
    When "web" sends "hello" without payload
    Then the mock broker receives "hello"
    When the mock broker is reset
    And somebody waits for any message at the mock broker
    Then the wait goes on
    When "web" sends "goodbye" without payload
    Then the wait ends with "goodbye"

  Scenario: Waiting for one message among others
    Given the relay "web" uses the mock broker
    When somebody waits for "goodbye" at the mock broker
    And "web" sends "hello" without payload
    Then the mock broker receives "hello"
    And the wait goes on
    When "web" sends "goodbye" without payload
    Then the wait ends with "goodbye"

  Scenario: A message has an answer
    Given "web" connects to the mock broker over a WebSocket
    And the mock broker answers "get user" with "user" and `{"name":"Will"}`
    When "web" sends the frame "get user" with `1` in the activity "123"
    Then "web" gets the frame "user" with `{"name":"Will"}` in the activity "123"

  Scenario: A message has no answer
    Given "web" connects to the mock broker over a WebSocket
    And the mock broker answers "get user" with "user" and `{"name":"Will"}`
    When "web" sends the frame "another" with `1` in the activity "122"
    And "web" sends the frame "get user" with `1` in the activity "123"
    Then "web" gets the frame "user" with `{"name":"Will"}` in the activity "123"

  Scenario Outline: A request is answered
    Given the relay "web" uses the mock broker over <transport>
    And the mock broker answers "users.create" with "users.created" and `{"id":456}`
    When "web" requests "users.create" with `{"name":"Will"}`
    Then the request is answered by "users.created" with `{"id":456}`

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario Outline: A relay whose connection is cut comes back
    Given the relay "web" uses the mock broker over <transport>
    When the mock broker cuts every connection
    Then the mock broker knows "web"
    When "web" sends "hello" without payload
    Then the mock broker receives "hello"

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario: Closing
    When the mock broker is closed
    Then nobody listens there any more

  Scenario: Closing twice
    When the mock broker is closed
    And the mock broker is closed
    Then nobody listens there any more
