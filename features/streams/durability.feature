Feature: Durability
  On disk, everything that was answered survives a restart: content, closed streams, producers and `Stream-Seq`.

  Background:
    Given a streams server on disk

  Scenario: A restart
    Given the stream "orders" as application/json with `[{"id":1}]`
    And I append `{"id":2}` to "orders"
    When the streams server starts again
    Then reading "orders" gives `[{"id":1},{"id":2}]`
    When I append `{"id":3}` to "orders"
    Then I get 204
    And reading "orders" gives `[{"id":1},{"id":2},{"id":3}]`

  Scenario: A producer retries after a restart
    Given the stream "notes" as text/plain
    When producer "p" of epoch 0 sends `once` as number 0 to "notes"
    And the streams server starts again
    And producer "p" of epoch 0 sends `once` as number 0 to "notes"
    Then I get 204
    And reading "notes" gives `once`

  Scenario: A closed stream stays closed, a deleted one deleted
    Given the stream "closed" as text/plain with `all of it`
    And I close "closed"
    And the stream "deleted" as text/plain
    And I delete "deleted"
    When the streams server starts again
    And I append `more` to "closed"
    Then I get 409 with the problem "stream-closed"
    When I read "deleted" from the start
    Then I get 404 with the problem "not-found"

  Scenario: A reader resumes where it was
    Given the stream "notes" as text/plain with `one`
    When I read "notes" from the start
    And the streams server starts again
    And I append `two` to "notes"
    And I read "notes" from there
    Then I get 200 with `two`

  Scenario: A disk that is almost full
    Given a streams server on a disk that is full
    When I create the stream "notes" as text/plain
    Then I get 507 with the problem "full" and the words "the disk is full"
