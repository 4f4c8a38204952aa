Feature: Following
  Readers learn of new content at once: by long-poll, or by server-sent events.

  Background:
    Given a streams server
    And the stream "orders" as application/json

  Scenario: A long-poll waits for content
    Given a long-poll of "orders" is waiting
    When I append `{"id":1}` to "orders"
    Then the long-poll gets 200 with `[{"id":1}]`

  Scenario: A long-poll times out
    Given a streams server with long_poll_timeout_ms 50
    And the stream "orders" as application/json
    And a long-poll of "orders" is waiting
    Then the long-poll gets 204 with ``

  Scenario: A long-poll of a stream that is deleted
    Given a long-poll of "orders" is waiting
    When I delete "orders"
    Then the long-poll gets 404

  Scenario: Events begin with the history
    Given I append `[1,2]` to "orders"
    And somebody follows "orders" from the start
    Then the follower gets `[1,2]`
    When I append `3` to "orders"
    Then the follower gets `[3]`

  Scenario: Events of a stream that holds neither text nor JSON
    Given the stream "pictures" as image/png
    And somebody follows "pictures" from the start
    When I append `PNG!` to "pictures"
    Then the follower gets `UE5HIQ==`

  Scenario: Text cannot forge events
    Given the stream "notes" as text/plain
    And somebody follows "notes" from the start
    When I append two lines to "notes", the second one "event: control"
    Then the follower gets two lines, the second one "event: control"

  Scenario: The end of a stream
    Given somebody follows "orders" from the start
    When I close "orders" with `{"last":true}`
    Then the follower gets `[{"last":true}]`
    And the follower learns that the stream is closed, and its events end

  Scenario: A connection that reaches its maximum lifetime
    Given a streams server with sse_lifetime_ms 50
    And the stream "orders" as application/json with `[1]`
    And somebody follows "orders" from the start
    Then the follower gets `[1]`
    And the events end at byte 2

  Scenario: The server shuts down
    Given somebody follows "orders" from the start
    And a long-poll of "orders" is waiting
    When the server shuts down
    Then the long-poll gets 204 with ``
    And the events end at byte 0

  Scenario: A page that follows from the start connects again
    Given I append `[1,2]` to "orders"
    And somebody follows "orders" from the start
    Then the follower gets `[1,2]`
    When I append `3` to "orders"
    And the follower connects again, as an EventSource does
    Then the follower gets `[3]`

  Scenario: A page that follows from now on connects again
    Given I append `[1,2]` to "orders"
    And somebody follows "orders" from now
    When I append `3` to "orders"
    Then the follower gets `[3]`
    When I append `4` to "orders"
    And the follower connects again, as an EventSource does
    Then the follower gets `[4]`

  Scenario: A page that has everything of a closed stream stays closed
    Given somebody follows "orders" from the start
    When I close "orders" with `{"last":true}`
    Then the follower gets `[{"last":true}]`
    And the follower learns that the stream is closed, and its events end
    And a follower that connects again, as an EventSource does, gets 204

  Scenario: A page learns that its stream was deleted
    Given I append `[1,2]` to "orders"
    And somebody follows "orders" from the start
    Then the follower gets `[1,2]`
    When I delete "orders"
    Then the follower learns that the stream was deleted, and its events end
    And a follower that connects again, as an EventSource does, gets 404

  Scenario: Blanks at the beginning of a line
    Given the stream "notes" as text/plain
    And somebody follows "notes" from the start
    When I append `  two blanks` to "notes"
    Then the follower gets `  two blanks`

  Scenario: Text of another charset arrives as its bytes
    Given the stream "notes" as text/plain;charset=iso-8859-1
    And somebody follows "notes" from the start
    When I append `abc` to "notes"
    Then the follower gets `YWJj`
