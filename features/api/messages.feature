Feature: Following messages
  A service that cannot listen takes its messages from a stream, and acknowledges each. What it does not acknowledge
  in time is delivered again. Nobody gets more at once than may be unacknowledged, so that followers share the work.

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
    And the follower gets "hello" again, as attempt 2

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
    Then the follower gets "hello" again, as attempt 2

  Scenario: Only some messages
    Given `exorelay run --role users --bus embedded --receives hello,other` is running
    And somebody follows api/messages?name=other
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/other
    Then the follower gets "other" with the payload `2`

  Scenario: Two followers share what waits
    Given the setting EXORELAY__RELAY__SUBSCRIBER_UNACKNOWLEDGED_MAX is 2
    And `exorelay run --role users --bus embedded --receives hello` is running
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/hello
    And I POST `3` to api/send/hello
    And I POST `4` to api/send/hello
    And somebody follows api/messages
    Then the follower gets "hello" with the payload `1`
    And the follower gets "hello" with the payload `2`
    When somebody else follows api/messages
    Then the follower gets "hello" with the payload `3`
    And the follower gets "hello" with the payload `4`

  Scenario: A follower gets one more for each that it acknowledges
    Given `exorelay run --role users --bus embedded --receives hello` is running
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/hello
    And I POST `3` to api/send/hello
    And somebody follows api/messages?unacknowledged=1
    Then the follower gets "hello" with the payload `1`
    When somebody else follows api/messages?unacknowledged=1
    Then the follower gets "hello" with the payload `2`
    And acknowledging it gives 204
    And the follower gets "hello" with the payload `3`

  Scenario: An acknowledgement counts after the lease
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 1000
    And `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    When somebody else follows api/messages
    Then the follower gets "hello" with the payload `1`
    And acknowledging it gives 204
    And acknowledging it gives 404
    When I POST `2` to api/send/hello
    Then the follower gets "hello" with the payload `2`

  Scenario: An acknowledgement counts over a new connection
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    When the follower goes away
    Then acknowledging it gives 204
    When somebody follows api/messages
    And I POST `2` to api/send/hello
    Then the follower gets "hello" with the payload `2`

  Scenario: An acknowledgement counts for a message that has become a dead letter
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 50
    And the setting EXORELAY__RELAY__SUBSCRIBER_DELIVERIES_MAX is 1
    And `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    And there is a dead letter "hello" with the words "not acknowledged after 1 delivery"
    And acknowledging it gives 204
    And there are no dead letters
    And acknowledging it gives 404

  Scenario: A number of messages that is none
    Given `exorelay run --role users --bus embedded --receives hello` is running
    When I GET api/messages?unacknowledged=0
    Then I get 400 with the problem "invalid-request" and the words "expected a number of messages"

  Scenario: Messages of two senders with the same id are acknowledged separately
    Given `exorelay run --role users --bus embedded --receives hello` is running
    When I POST `{"id":"1","sender":"web","payload":1}` to listen/run/hello
    And I POST `{"id":"1","sender":"mobile","payload":2}` to listen/run/hello
    And somebody follows api/messages
    Then the follower gets "hello" with the payload `1`
    And the follower gets "hello" with the payload `2`
    When I POST `` to api/messages/1/ack?sender=mobile
    Then I get 204 with an empty body
    When the follower goes away
    And somebody follows api/messages
    Then the follower gets "hello" with the payload `1`
    And acknowledging it gives 204
    And acknowledging it gives 404

  Scenario: A message that could not be handled is given back
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 300
    And `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages?unacknowledged=1
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/hello
    Then the follower gets "hello" with the payload `1`
    And giving it back makes room for "hello" with the payload `2`, and it comes again

  Scenario: Only what the role receives
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages?declared=true
    When I POST `{"id":"1","responseTo":"0"}` to listen/run/zonk
    Then I get 200 with an empty body
    When I POST `{"id":"2"}` to listen/run/hello
    Then the follower gets "hello" with the id "2"
