Feature: Messages that nobody takes
  Without a handler, a webhook or a subscriber a message is unknown, and its sender learns that at once.

  Scenario: An unknown message
    Given `exorelay run --role users --bus embedded` is running
    When I POST `{"id":"1"}` to listen/run/zonk
    Then I get 404 with `unknown message: 'zonk'`

  Scenario: A message that was unknown may come again
    Given `exorelay run --role users --bus embedded` is running
    When I POST `{"id":"1"}` to listen/run/hello
    And somebody follows api/messages
    And I POST `{"id":"1"}` to listen/run/hello
    Then I get 200 with an empty body
    And the follower gets "hello" with the id "1"

  Scenario: Run, then answer, as the originals did
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --answer handled --forward {service}` is running
    When I POST `{"id":"1"}` to listen/run/hello
    Then I get 500 with the problem "internal"

  Scenario: Run, then answer, for a broker of ours too
    Given a service that answers 400 to every message
    And `exorelay broker` is running
    And `exorelay run --role users --bus {broker} --receives hello --answer handled --forward {service}` is running as "users"
    When I POST `{"id":"1"}` to broker/send/hello
    Then I get 200 with an empty body
    And the service has got "hello" 1 times
    And there is a dead letter "hello" with the words "400"
