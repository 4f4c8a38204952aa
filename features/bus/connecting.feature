Feature: Connecting to a broker of the WebSocket era
  A relay opens one connection to its broker, over which everything goes both ways. So it needs no port of its own, and
  works from behind a firewall. Brokers of the originals of 2016 to 2018 speak nothing else.

  Scenario: A relay introduces itself
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it
    Then it gets "exocom.register-service" from "foo"

  Scenario: A relay is online at the broker's port, and listens nowhere
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it
    Then "foo" reports that it is online at the broker's port
    And "foo" listens nowhere

  Scenario: The broker may be given by name
    Given a broker of the WebSocket era
    When a relay "foo" is made for that host and port
    Then it gets "exocom.register-service" from "foo"

  Scenario: A bus without a host
    When a relay "foo" is made with the bus "ws://"
    Then that fails: "bus: "ws://" is not a bus; expected "embedded" or a URL such as "http://localhost:3100" or "ws://localhost:3100""

  Scenario: A relay shows its token
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it with the token "s3cret"
    Then the registration has the token "s3cret"

  Scenario: A relay is asked whether it lives
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it
    When it sends the frame `{"name":"__status"}`
    Then it gets "__status-ok" from "foo"

  Scenario: Nobody is at the port
    Given a broker of the WebSocket era that is not up yet
    And the relay "foo" wants to be connected to it
    Then "foo" reports "the bus is unreachable: cannot connect to {broker}: Connection refused"

  Scenario: A relay leaves an original broker without a close frame, of which some of them die
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it
    When "foo" sends "last words" without payload
    And "foo" is closed
    Then it gets "last words" from "foo"
    And the connection ends with no close frame

  Scenario: A relay that is configured to closes politely
    Given a broker of the WebSocket era
    And the relay "foo" is connected to it and will close politely
    When "foo" is closed
    Then the connection ends with close frame 1000
