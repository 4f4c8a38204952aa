Feature: Appending
  An append is answered when it is written, and is written as a whole or not at all.

  Background:
    Given a streams server
    And the stream "orders" as application/json
    And the stream "notes" as text/plain

  Scenario: One message and several at once
    When I append `{"id": 1}` to "orders"
    Then I get 204
    When I append `[{"id":2},[3]]` to "orders"
    Then reading "orders" gives `[{"id": 1},{"id":2},[3]]`

  Scenario: Messages keep the text of their sender
    When I append `{"price":1.50,"id":12345678901234567890}` to "orders"
    Then reading "orders" gives `[{"price":1.50,"id":12345678901234567890}]`

  Scenario: Content that is not JSON
    When I append `{"id":` to "orders"
    Then I get 400 with the problem "invalid-request" and the words "not JSON"
    When I append `[]` to "orders"
    Then I get 400 with the problem "invalid-request" and the words "nothing to append"
    And reading "orders" gives `[]`

  Scenario: Content of another type
    When I append `hello` to "orders" as text/plain
    Then I get 409 with the problem "content-type-mismatch" and the words "the content type of the stream is application/json"

  Scenario: An empty append
    When I append `` to "notes"
    Then I get 400 with the problem "invalid-request" and the words "nothing to append"

  Scenario: A stream that does not exist
    When I append `x` to "nowhere" as text/plain
    Then I get 404 with the problem "not-found" and the words "nowhere"

  Scenario: A writer that numbers its appends
    When I append `one` to "notes" with the header "stream-seq: 09"
    And I append `two` to "notes" with the header "stream-seq: 10"
    Then I get 204
    When I append `three` to "notes" with the header "stream-seq: 10"
    Then I get 409 with the problem "sequence-conflict"
    And reading "notes" gives `onetwo`

  Scenario: A body over the limit
    Given a streams server with body_bytes_max 100
    And the stream "notes" as text/plain
    When I append 101 bytes to "notes"
    Then I get 413 with the problem "body-too-large" and the words "limit of 100 bytes"

  Scenario: Not enough space
    Given a streams server with content_bytes_max 1000
    And the stream "notes" as text/plain
    When I append 1001 bytes to "notes"
    Then I get 507 with the problem "full"
