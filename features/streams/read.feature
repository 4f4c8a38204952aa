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
    And the header "cache-control" is "private, no-cache"
    And the header "vary" has "authorization"
    When I append `two` to "notes"
    And I read "notes" from the start if the tag has changed
    Then I get 200 with `onetwo`

  Scenario: A cache revalidates a stream that was deleted and made again
    Given I append `same` to "notes"
    And I read "notes" from the start
    When I delete "notes"
    And I read "notes" from the start if the tag has changed
    Then I get 404
    And the header "cache-control" is "no-store"
    When I create the stream "notes" as text/plain with `same`
    And I read "notes" from the start if the tag has changed
    Then I get 200 with `same`

  Scenario: Only what can never change is cached for long
    Given I append `one` to "notes"
    And I append `two` to "notes"
    When I read "notes" from byte 3
    Then the header "cache-control" is "private, no-cache"
    When I close "notes"
    And I read "notes" from byte 3
    Then I get 200 with `two`
    And the header "cache-control" is "private, max-age=31536000, immutable"
    When I read "notes" from the start
    Then the header "cache-control" is "private, no-cache"

  Scenario: What a fork inherits is not cached for long, as another fork of that name has the same offsets
    Given I append `one` to "notes"
    And I read "notes" from the start
    And I append `two` to "notes"
    When I fork "notes" as "copy"
    And I close "copy"
    And I read "copy" from there
    Then I get 200 with `two`
    And the header "cache-control" is "private, no-cache"
    When I delete "copy"
    And I append `three` to "notes"
    And I read "notes" from byte 3
    Then I get 200 with `twothree`
    When I fork "notes" as "copy"
    And I append `mine` to "copy"
    And I close "copy"
    And I read "copy" from byte 11
    Then I get 200 with `mine`
    And the header "cache-control" is "private, max-age=31536000, immutable"

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

  Scenario: A read returns everything up to the end
    Given I append 3000000 bytes to "notes"
    And I append 3000000 bytes to "notes"
    And I append 5 bytes to "notes"
    Then reading "notes" whole gives 6000005 bytes

  Scenario: An offset inside an append is answered with that append
    Given I append `one` to "notes"
    And I append `two` to "notes"
    When I read "notes" from byte 4
    Then I get 200 with `two`
    When I read "notes" from byte 2
    Then I get 200 with `onetwo`
    Given the stream "list" as application/json with `[1,22]`
    And I append `{"id":333}` to "list"
    When I read "list" from byte 6
    Then I get 200 with `[{"id":333}]`
    When I read "list" from byte 3
    Then I get 200 with `[1,22,{"id":333}]`

  Scenario: An offset beyond the end
    Given I append `abc` to "notes"
    When I read "notes" from byte 99
    Then I get 200 with ``
    And the header "stream-up-to-date" is "true"
    And the header "stream-next-offset" ends with "_0000000000000003"

  Scenario: An offset of a stream that was deleted and made again
    Given I append `old content` to "notes"
    And I read "notes" from the start
    When I delete "notes"
    And I create the stream "notes" as text/plain with `new`
    And I read "notes" from there
    Then I get 410 with the problem "gone" and the words "offset=-1"
    When I read "notes" from the start
    Then I get 200 with `new`
    When I read "notes" from "9999999999999999_9999999999999999"
    Then I get 410 with the problem "gone"

  Scenario: An old offset of a stream in the memory of a server that has lost it
    Given I append `old content` to "notes"
    And I read "notes" from the start
    And a streams server
    And the stream "notes" as text/plain with `new`
    When I read "notes" from there
    Then I get 410 with the problem "gone"

  Scenario: An offset that is none
    When I read "notes" from "yesterday"
    Then I get 400 with the problem "invalid-request" and the words "yesterday"

  Scenario: Large answers are compressed for clients that accept it
    Given I append 5000 bytes to "notes"
    When I read "notes" from the start, compressed
    Then I get 200
    And the header "content-encoding" is "gzip"
    And the header "vary" has "accept-encoding"

  Scenario: Each coding has a tag of its own
    Given I append 5000 bytes to "notes"
    When I read "notes" from the start, accepting "gzip"
    Then the header "etag" has "-gzip"
    When I read "notes" from the start, accepting "gzip", if the tag has changed
    Then I get 304
    And there is no header "content-encoding"
    When I read "notes" from the start, accepting "zstd", if the tag has changed
    Then I get 200
    And the header "etag" has "-zstd"
    When I read "notes" from the start, accepting "zstd", if the tag has changed
    Then I get 304

  Scenario: A client that accepts nothing gets nothing
    Given I append 5000 bytes to "notes"
    When I read "notes" from the start, accepting "identity;q=0"
    Then I get 406
    And the header "content-length" is "0"

  Scenario: Looking without reading
    Given I append `abc` to "notes"
    When I ask about "notes"
    Then I get 200 with ``
    And the header "content-type" is "text/plain"
    And the header "stream-next-offset" ends with "_0000000000000003"
