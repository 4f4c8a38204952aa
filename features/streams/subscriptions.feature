Feature: Subscriptions
  A subscriber is woken when its streams have new data, and acknowledges how far it has read.

  Background:
    Given a streams server for development

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
      | http://u:p@example.com/        |
      | https://localhost/             |
      | https://[::1]/                 |
      | http://0.0.0.0/                |

  Scenario Outline: Webhooks to this machine are for development
    Given a streams server
    When I subscribe "mail" to "orders/*" with the webhook "<url>"
    Then I get 400 with the code "WEBHOOK_URL_REJECTED"

    Examples:
      | url                       |
      | http://127.0.0.1:9/       |
      | http://localhost:9/       |
      | http://127.1:9/           |
      | http://a.localhost:9/     |
      | http://2130706433:9/      |

  Scenario Outline: The server never calls itself
    When I subscribe "mail" to "orders/*" with the webhook "<url>"
    Then I get 400 with the code "WEBHOOK_URL_REJECTED"

    Examples:
      | url                                  |
      | http://127.0.0.1:{port}/send/x       |
      | http://localhost:{port}/             |
      | http://LOCALHOST.:{port}/            |
      | http://127.0.0.9:{port}/             |
      | http://0x7f.1:{port}/                |

  Scenario: Receivers call back where the server is, whatever host its caller names
    Given a receiver that answers ``
    When I subscribe "mail" to "orders/*" with the webhook "{receiver}" under the host "evil.example"
    Then the URLs that it gives to others are those of the server
    When I create the stream "orders/1" as application/json with `[{"id":1}]`
    Then the receiver is to call back at the server about "mail"

  Scenario: A closed port looks like one that does not answer
    Given a receiver that is down
    And the subscription "mail" of "orders/*" calls the receiver
    And the stream "orders/1" as application/json with `[{"id":1}]`
    Then "mail" shows no failure until the time for a call is over, and then shows one

  Scenario: A port that does not answer looks like a closed one
    Given a receiver that is silent
    And the subscription "mail" of "orders/*" calls the receiver
    And the stream "orders/1" as application/json with `[{"id":1}]`
    Then "mail" shows no failure until the time for a call is over, and then shows one

  Scenario: A receiver that refuses looks like a closed port
    Given a receiver that answers with 404
    And the subscription "mail" of "orders/*" calls the receiver
    And the stream "orders/1" as application/json with `[{"id":1}]`
    Then "mail" shows no failure until the time for a call is over, and then shows one

  Scenario: A wake-up does not wake a subscriber of all streams
    Given the stream "wakes" as application/json
    And the subscription "jobs" of "**" writes to "wakes"
    And the stream "orders/1" as application/json with `[{"id":1}]`
    And "wakes" announces generation 1 of "jobs"
    When "ann" claims the work of "jobs"
    And the holder of "jobs" has done everything
    Then I get 200 with `{"next_wake":false,"ok":true}`
