Feature: Loops
  Two services that answer each other's answers would go on for ever. A chain of answers ends after 32 of them, and the
  message whose answer was too much becomes a dead letter.

  Background:
    Given a bus in this process
    And the relay "web" is on the bus
    And the relay "ping" is on the bus
    And the relay "pong" is on the bus

  Scenario: Two services answer each other
    Given "ping" has a handler for "ping" that replies "pong" with `1`
    And "pong" has a handler for "pong" that replies "ping" with `1`
    When "web" sends "ping" with `1`
    Then the dead letters of "ping" are "ping: the bus refused pong: 'pong' ends a chain of more than 32 messages that follow from one another, which is a loop (broker.hops_max)"
    And "ping" has handled "ping" 17 times
    And "pong" has handled "pong" 16 times
