Feature: Failures reach the requester at once
  A requester learns what went wrong as soon as it is known: at the receiver, on the way, or at its own relay.

  Scenario Outline: The handler of a request fails
    Given the relays "web" and "users" use a bus <bus>
    And "users" has a handler for "ping" that <does>
    When "web" requests "ping" with `1` within 20000 ms
    Then that fails with the words "'users' could not handle ping: <reason>"
    And "web" has 0 requests waiting
    And the dead letters of "users" are "ping: <reason>"

    Examples:
      | bus              | does                          | reason                                                                                              |
      | in this process  | fails with "the disk is full" | the disk is full                                                                                    |
      | over HTTP        | fails with "the disk is full" | the disk is full                                                                                    |
      | over a WebSocket | fails with "the disk is full" | the disk is full                                                                                    |
      | in this process  | panics with "a bug"           | the handler panicked: a bug                                                                         |
      | over a WebSocket | panics with "a bug"           | the handler panicked: a bug                                                                         |
      | over HTTP        | reads a text as payload       | the payload has an unexpected form (line 1, column 1: invalid type: integer `1`, expected a string) |

  Scenario Outline: A handler says that it cannot handle a request
    Given the relays "web" and "users" use a bus <bus>
    And "users" has a handler for "ping" that says `<payload>` instead of a reply
    When "web" requests "ping" with `1` within 20000 ms
    Then that fails with the words "'users' could not handle ping: <reason>"
    And the failure has the payload `<payload>`
    And "users" has no dead letters

    Examples:
      | bus              | payload    | reason                                    |
      | in this process  | "sold out" | sold out                                  |
      | over HTTP        | {"left":0} | the service says that it cannot handle it |
      | over a WebSocket | 17         | the service says that it cannot handle it |

  Scenario Outline: The relay of the receiver is closed before it has answered
    Given the relays "web" and "users" use a bus <bus>
    And "users" has a handler for "ping" that replies "pong" with `1` after 15000 ms
    When "web" starts to request "ping", and then "users" is closed within 1000 ms
    Then the request fails with the words "'users' could not handle ping: the relay of the service was closed"

    Examples:
      | bus              |
      | in this process  |
      | over HTTP        |
      | over a WebSocket |

  Scenario: A stream of replies ends with the failure
    Given the relays "web" and "users" use a bus over HTTP
    And "users" has a handler for "ping" that fails with "the disk is full"
    When "web" requests "ping" as a stream until "done"
    Then the stream gave nothing and then failed: "'users' could not handle ping: the disk is full"

  Scenario: A message that cannot be delivered comes back as a dead letter
    Given the relays "web" and "users" use a bus over HTTP whose window is 300 ms
    And "users" has a handler for "users.create" that never gets it
    When "web" sends "users.create" with `{"name":"Will"}`
    Then "web" has the dead letter "users.create" with `{"name":"Will"}`
