Feature: Following messages
  A service that cannot listen takes its messages from a stream, and acknowledges each. What it does not acknowledge
  in time is delivered again.

  Scenario: A message arrives and is acknowledged
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `{"name":"Will"}` to api/send/hello
    Then the follower gets "hello" with the payload `{"name":"Will"}`
    And acknowledging it gives 204
    And acknowledging it gives 404

  Scenario: Messages wait for their follower
    Given `exorelay run --role users --bus embedded --receives hello` is running
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/hello
    And somebody follows api/messages
    Then the follower gets "hello" with the payload `1`
    And the follower gets "hello" with the payload `2`

  Scenario: What is not acknowledged in time is delivered again
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 100
    And `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    And the follower gets "hello" with the payload `1`

  Scenario: What is never acknowledged becomes a dead letter
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 50
    And the setting EXORELAY__RELAY__SUBSCRIBER_DELIVERIES_MAX is 2
    And `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "not acknowledged after 2 deliveries"

  Scenario: A lost follower's messages go to the next one at once
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    When the follower goes away
    And somebody follows api/messages
    Then the follower gets "hello" with the payload `1`

  Scenario: Only some messages
    Given `exorelay run --role users --bus embedded --receives hello,other` is running
    And somebody follows api/messages?name=other
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/other
    Then the follower gets "other" with the payload `2`
