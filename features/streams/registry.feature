Feature: The registry of streams
  The stream `__registry__` lists every stream as change events of the state protocol. It can be read and followed like any
  other, and only the server writes it.

  Background:
    Given a streams server

  Scenario: Streams begin, close and end
    Given the stream "orders" as application/json
    And the stream "notes" as text/plain with `hello`
    And I close "notes"
    When I delete "orders"
    Then the registry lists "notes, __registry__"
    And the registry has "closed" of "notes" as `true`
    And the registry shows that "orders" was deleted

  Scenario: A fork shows its source
    Given the stream "draft" as text/plain with `hello`
    When I fork "draft" as "drafts/two"
    Then the registry has "forkedFrom" of "drafts/two" as `"draft"`
    And the registry has the offset "forkOffset" of "drafts/two" at byte 5

  Scenario: A stream whose time is over
    When I create the stream "chat" with the header "stream-ttl: 1"
    Then "chat" is gone after a while
    And the registry lists "__registry__"
    And the registry shows that "chat" was expired

  Scenario: A follower sees new streams
    Given the stream "first" as text/plain
    And somebody follows "__registry__" from the start
    When I create the stream "second" as text/plain
    Then the follower gets a row of "first"
    And the follower gets a row of "second"

  Scenario: Nobody else writes it
    Given the stream "orders" as application/json
    When I append `{}` to "__registry__" as application/json
    Then I get 405 with the problem "method-not-allowed" and the words "the server's own"
    When I delete "__registry__"
    Then I get 405 with the problem "method-not-allowed" and the words "can be read and followed"
    And the header "allow" is "GET, HEAD, OPTIONS"

  Scenario: A fresh server has one
    Then the registry lists "__registry__"

  Scenario: Rows of streams that are gone leave after a set time
    Given a streams server with registry_gone_ms 50
    And the stream "secret" as application/json
    And the stream "orders" as application/json
    When I delete "secret"
    Then the rows of "secret" are gone after a while
    And the registry lists "orders, __registry__"
