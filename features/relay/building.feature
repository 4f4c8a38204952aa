Feature: Making a relay
  A relay needs a role and a bus. An error says what is missing or wrong, and what to do about it.

  Scenario: A relay that listens says where
    Given a bus in this process
    When a relay "web" is made that listens on 127.0.0.1:0
    Then it is online with the port it listens on
    And GET /status there is answered 200

  Scenario: A relay without a role
    When a relay "" is made with the bus "embedded"
    Then that fails: "Relay::builder: the role is empty; give the role of the service, such as "users""

  Scenario: A relay without a bus
    When a relay "web" is made with the bus "zonk"
    Then that fails: "bus: "zonk" is not a bus; expected "embedded" or a URL such as "http://localhost:3100" or "ws://localhost:3100""

  Scenario: A listener that is no address
    When a relay "web" is made that listens on zonk
    Then that fails: "cannot listen on "zonk": expected HOST:PORT such as 127.0.0.1:4000 (port 0 takes a free one); set it with Builder::listen"

  Scenario: A listener whose port is taken
    When a relay "web" is made that listens on a port that is taken
    Then that fails with the words "is already in use; is another `exorelay` running? Choose another with Builder::listen"

  Scenario: A bus that is away is no error
    Given nothing listens where the broker should be
    And the relay "web" uses that broker
    Then "web" has 0 requests waiting
