Feature: Configuring the port

  As an operator
  I want to choose the port of the broker
  So that it fits in beside everything else that runs here.

  Scenario: a free port
    Given a broker
    When I GET /config.json
    Then the broker answers 200

  Scenario: a port that is taken
    Given a port that is taken
    When a broker is started on that port
    Then it does not start, and says that the port is already in use
