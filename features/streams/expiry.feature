Feature: Expiry
  A stream can expire: when it has not been used for a while, or at a given time.

  Background:
    Given a streams server

  Scenario: A stream that is not used
    Given the stream "notes" with the header "stream-ttl: 4"
    When I ask about "notes"
    Then I get 200
    And the header "stream-ttl" is "4"
    And "notes" is gone after a while

  Scenario: A stream with an expiry time
    Given the stream "notes" with the header "stream-expires-at: 2020-01-01T00:00:00Z"
    When I read "notes" from the start
    Then I get 404 with the problem "not-found"

  Scenario: An expired name can be used again
    Given the stream "notes" with the header "stream-ttl: 0"
    When I create the stream "notes" as text/plain
    Then I get 201

  Scenario: An invalid lifetime
    When I create the stream "notes" with the header "stream-ttl: soon"
    Then I get 400 with the problem "invalid-request" and the words "whole seconds"
    When I create the stream "notes" with the header "stream-expires-at: tomorrow"
    Then I get 400 with the problem "invalid-request" and the words "RFC 3339"
