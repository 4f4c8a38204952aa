Feature: Delivering messages

  As a service
  I want the broker to take care of the messages it accepted
  So that a receiver that is away for a while misses nothing.

  - a delivery that fails is tried again, ever less often, until the delivery window has passed
  - the messages of one sender arrive at one receiver in the order they were sent
  - what cannot be delivered is reported

  Scenario: a receiver comes back
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    And web sends "create" as "2"
    And web sends "create" as "3"
    Then the broker answers 200
    When users comes back
    Then users has received, in this order: 1, 2, 3

  Scenario: an offline receiver costs another one nothing
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
      | log   |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    And web sends "create" as "2"
    Then log has received, in this order: 1, 2

  Scenario: a receiver that hangs costs another one nothing
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
      | log   |           |       | create   |
    And users never answers
    When web sends "create" as "1"
    And web sends "create" as "2"
    Then log has received, in this order: 1, 2
    When users answers every delivery with 200 again
    Then users has received 2 messages

  Scenario Outline: a receiver that cannot take a message now gets it later
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users answers every delivery with <STATUS>
    When web sends "create" as "1"
    And web sends "create" as "2"
    Then users has been called more than once
    When users answers every delivery with 200 again
    Then users has received, in this order: 1, 2

    Examples:
      | STATUS |
      | 500    |
      | 503    |
      | 408    |
      | 425    |
      | 429    |

  Scenario Outline: a receiver that refuses a message is not asked again
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users answers every delivery with <STATUS>
    When web sends "create" as "1"
    Then GET /undelivered eventually says "<REASON>"
    And users has been called 1 time

    Examples:
      | STATUS | REASON                               |
      | 404    | the receiver does not know the message |
      | 400    | the receiver refused it: it answered 400 |
      | 413    | the receiver refused it: it answered 413 |

  Scenario: several messages at once for a service that takes them so
    Given a broker
    And the instance "users-1" of users receives "create" in batches
    And "users-1" is offline
    When web sends "create" as "1"
    And web sends "create" as "2"
    And web sends "create" as "3"
    And "users-1" comes back
    Then "users-1" has received, in this order: 1, 2, 3

  Scenario: what cannot be delivered within the window is listed
    Given a broker with these settings:
      | delivery_window_ms | 200 |
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    Then GET /undelivered eventually says "'id':'1','name':'create','sender':'web','receiver':'users','reason':'not delivered within 200 ms"
    And GET /metrics eventually says "exorelay_broker_deliveries_given_up_total 1"

  Scenario: the sender learns what could not be delivered
    Given a broker with these settings:
      | delivery_window_ms | 200 |
    And the instance "web-1" of web receives "" in batches
    And the instance "users-1" of users receives "create"
    And "users-1" is offline
    When web sends "create" as "1" from instance "web-1"
    Then "web-1" receives "exocom.undelivered" in reply to "1"

  Scenario: what waits for a role without instances is reported when the window has passed
    Given a broker with these settings:
      | delivery_window_ms | 200 |
    And the instance "users-1" of users receives "create"
    And "users-1" is offline
    When web sends "create" as "1"
    And the instance "users-1" of users leaves
    Then GET /undelivered eventually says "no instance of the role was there"

  Scenario: the broker says how much waits, and for how long
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    And web sends "create" as "2"
    Then GET /ready eventually says "'queuedMessages':2,'oldestMs':"
    And GET /metrics eventually says "exorelay_broker_queued_messages 2"
    And GET /metrics eventually says "exorelay_broker_queued_oldest_seconds "

  Scenario: a full queue refuses messages
    Given a broker with these settings:
      | queue_messages_max | 2 |
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    And web sends "create" as "2"
    And web sends "create" as "3"
    Then the broker answers 503
    And the answer has the header "retry-after: 1"
    And the answer is a problem of the kind "busy" that says "queues of all receivers are full"
    When users comes back
    Then users has received, in this order: 1, 2

  Scenario: a full queue costs another receiver nothing, and is reported
    Given a broker with these settings:
      | queue_messages_max | 1 |
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
      | log   |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    Then log has received, in this order: 1
    And GET /services eventually says "'queueLength':0"
    When web sends "create" as "2"
    Then the broker answers 200
    And log has received, in this order: 1, 2
    And GET /undelivered eventually says "'receiver':'users','reason':'the receiver"

  Scenario: a receiver that needs another message before it answers
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES   |
      | users |           |       | slow, fast |
    And users answers "slow" only after "fast" has come
    When web sends "slow" as "1"
    And web sends "fast" as "2"
    Then users has received, in this order: 2, 1
    And users has been called 2 times

  Scenario: shutting down
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And users is offline
    When web sends "create" as "1"
    And the broker shuts down
    And web sends "create" as "2"
    Then the broker answers 503
    And the answer is a problem of the kind "draining" that says "shutting down"
    And GET /undelivered eventually says "the broker shut down before it could be delivered"
    And GET /ready eventually says "draining"
