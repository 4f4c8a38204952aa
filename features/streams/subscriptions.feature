Feature: Subscriptions
  A subscriber is woken when its streams have new data, and acknowledges how far it has read.

  Background:
    Given a streams server

  Scenario: A webhook that has done everything
    Given a receiver that answers `{"done":true}`
    And the subscription "mail" of "orders/*" calls the receiver
    When I create the stream "orders/1" as application/json with `[{"id":1}]`
    Then the receiver learns once that "orders/1" is pending
    And "mail" has read all of "orders/1"

  Scenario: Streams that were there before
    Given a receiver that answers `{"done":true}`
    And the stream "orders/old" as application/json with `[{"id":1}]`
    And the subscription "mail" of "orders/*" calls the receiver
    Then "mail" has read all of "orders/old"
    When I append `{"id":2}` to "orders/old"
    Then the receiver learns once that "orders/old" is pending

  Scenario: A webhook that works on it and calls back
    Given a receiver that answers ``
    And the subscription "mail" of "orders/*" calls the receiver
    And the stream "orders/1" as application/json with `[{"id":1}]`
    And the receiver learns once that "orders/1" is pending
    When the receiver calls back that it has done everything
    Then I get 200 with `{"next_wake":false,"ok":true}`
    And "mail" has read all of "orders/1"
    When the receiver calls back that it has done everything
    Then I get 409 with the code "FENCED"

  Scenario: A receiver that is away for a while, and a server that starts again meanwhile
    Given a receiver that is down
    And the subscription "mail" of "orders/*" calls the receiver
    And the stream "orders/1" as application/json with `[{"id":1}]`
    And "mail" has the status "failed"
    When the streams server starts again
    Then "mail" has the status "failed"
    When the receiver comes up
    Then the receiver learns once that "orders/1" is pending
    And "mail" has the status "active"

  Scenario: Workers that share the work
    Given the stream "wakes" as application/json
    And the subscription "jobs" of "orders/*" writes to "wakes"
    And the stream "orders/1" as application/json with `[{"id":1}]`
    Then "wakes" announces generation 1 of "jobs"
    When "ann" claims the work of "jobs"
    Then I get 200
    When "bob" claims the work of "jobs"
    Then I get 409 with the code "ALREADY_CLAIMED"
    When the holder of "jobs" has done everything
    Then I get 200 with `{"next_wake":false,"ok":true}`
    When "bob" claims the work of "jobs"
    Then I get 409 with the code "NO_PENDING_WORK"

  Scenario: A worker keeps its work over a restart of the server
    Given the stream "wakes" as application/json
    And the subscription "jobs" of "orders/*" writes to "wakes"
    And the stream "orders/1" as application/json with `[{"id":1}]`
    And "ann" claims the work of "jobs"
    When the streams server starts again
    And "bob" claims the work of "jobs"
    Then I get 409 with the code "ALREADY_CLAIMED"
    When the holder of "jobs" has done everything
    Then I get 200

  Scenario Outline: Places that only this server can reach
    When I subscribe "mail" to "orders/*" with the webhook "<url>"
    Then I get 400 with the code "WEBHOOK_URL_REJECTED"

    Examples:
      | url                            |
      | http://10.0.0.1/hook           |
      | https://169.254.169.254/latest |
      | https://[::ffff:10.0.0.1]/     |
      | https://2130706433/            |
      | http://example.com/            |

  Scenario: A wake-up does not wake a subscriber of all streams
    Given the stream "wakes" as application/json
    And the subscription "jobs" of "**" writes to "wakes"
    And the stream "orders/1" as application/json with `[{"id":1}]`
    And "wakes" announces generation 1 of "jobs"
    When "ann" claims the work of "jobs"
    And the holder of "jobs" has done everything
    Then I get 200 with `{"next_wake":false,"ok":true}`
