Feature: Reading
  Any client reads from any offset that the stream has returned, and always finds the same content there.

  Background:
    Given a streams server
    And the stream "notes" as text/plain

  Scenario: From the start, and from where the last read ended
    When I append `one` to "notes"
    And I read "notes" from the start
    Then I get 200 with `one`
    And the header "stream-up-to-date" is "true"
    When I append `two` to "notes"
    And I read "notes" from there
    Then I get 200 with `two`

  Scenario: From now on
    Given I append `history` to "notes"
    When I read "notes" from now
    Then I get 200 with ``
    And the header "cache-control" is "no-store"
    And there is no header "etag"

  Scenario: A cache revalidates
    Given I append `one` to "notes"
    When I read "notes" from the start
    And I read "notes" from the start if the tag has changed
    Then I get 304
    When I append `two` to "notes"
    And I read "notes" from the start if the tag has changed
    Then I get 200 with `onetwo`

  Scenario: More than fits into one read
    Given a streams server with read_bytes_max 10
    And the stream "notes" as text/plain
    When I append `12345678` to "notes"
    And I append `abcdefgh` to "notes"
    And I read "notes" from the start
    Then I get 200 with `12345678`
    And there is no header "stream-up-to-date"
    When I read "notes" from there
    Then I get 200 with `abcdefgh`
    And the header "stream-up-to-date" is "true"

  Scenario: An offset that the stream never returned
    Given I append `abc` to "notes"
    When I read "notes" from "0000000000000000_0000000000000001"
    Then I get 400 with the problem "invalid-request"
    When I read "notes" from "yesterday"
    Then I get 400 with the problem "invalid-request" and the words "yesterday"

  Scenario: Large answers are compressed for clients that accept it
    Given I append 5000 bytes to "notes"
    When I read "notes" from the start, compressed
    Then I get 200
    And the header "content-encoding" is "gzip"
    And the header "vary" has "accept-encoding"

  Scenario: Looking without reading
    Given I append `abc` to "notes"
    When I ask about "notes"
    Then I get 200 with ``
    And the header "content-type" is "text/plain"
    And the header "stream-next-offset" is "0000000000000000_0000000000000003"
