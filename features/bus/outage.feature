Feature: Outages of a broker of the WebSocket era
  Relay and broker start, stop and fail in any order. What was accepted waits for the connection.

  Scenario: The broker comes up after the relay
    Given a broker of the WebSocket era that is not up yet
    And the relay "web" wants to be connected to it
    When "web" sends 3 messages called "users.create"
    And the broker of the WebSocket era comes up
    Then it gets "exocom.register-service" from "web"
    And it gets the 3 messages in the order of sending

  Scenario: The broker goes down and comes back
    Given a broker of the WebSocket era
    And the relay "web" is connected to it
    When the broker of the WebSocket era goes down
    And "web" sends 3 messages called "users.create"
    And the broker of the WebSocket era comes up
    Then it gets "exocom.register-service" from "web" for the 2nd time
    And it gets the 3 messages in the order of sending

  Scenario: A relay over a WebSocket reports when it is online and offline
    Given a broker of the WebSocket era
    And the relay "web" is connected to it
    When it drops the connection
    Then the events are online, offline, online
    And it gets "exocom.register-service" from "web" for the 2nd time
