Feature: Limits of streams
  What a client can make the server keep is bounded in bytes. What exceeds a bound is refused with the reason, and the rest
  goes on.

  Scenario Outline: A header that would be kept is too long
    Given a streams server
    When I create the stream "orders" with a "<HEADER>" of <BYTES> bytes
    Then I get 431 with the problem "headers-too-large" and the words "<HEADER> has <BYTES> bytes, at most 1024 are allowed"

    Examples:
      | HEADER            | BYTES |
      | content-type      | 1025  |
      | content-type      | 30000 |
      | stream-expires-at | 1025  |
      | stream-ttl        | 30000 |

  Scenario: A producer's name is too long
    Given a streams server
    And the stream "orders" as application/json
    When a producer whose name has 257 bytes sends `1` to "orders"
    Then I get 431 with the problem "headers-too-large" and the words "producer-id has 257 bytes, at most 256 are allowed"
    When a producer whose name has 256 bytes sends `1` to "orders"
    Then I get 200

  Scenario: Names and types of all streams together are too long
    Given a streams server with metadata_bytes_max 10000
    And the stream "orders" as application/json
    When I create 20 further streams
    Then I get 507 with the problem "full" and the words "streams.metadata_bytes_max"
    When I append `1` to "orders"
    Then I get 204
    And reading "orders" gives `[1]`
    When I delete "orders"
    Then I get 204
    When I create the stream "small" as text/plain
    Then I get 201

  Scenario Outline: A body that nothing takes is not read
    Given a streams server
    And the stream "open" as text/plain
    And the stream "closed" as text/plain
    And I close "closed"
    When I begin to append 1000000 bytes as <TYPE> to "<STREAM>", and send none of them
    Then I get <STATUS> with the problem "<PROBLEM>"

    Examples:
      | STREAM  | TYPE             | STATUS | PROBLEM               |
      | missing | text/plain       | 404    | not-found             |
      | closed  | text/plain       | 409    | stream-closed         |
      | open    | application/json | 409    | content-type-mismatch |

  Scenario: The streams of a subscription come in pages
    Given a streams server
    And the stream "orders/1" as application/json
    And the stream "orders/2" as application/json
    And the stream "orders/3" as application/json
    And the stream "wakes" as application/json
    And the subscription "jobs" of "orders/*" writes to "wakes"
    Then the subscription "jobs" lists "orders/1, orders/2" and "orders/3" in pages of 2

  Scenario: A subscription whose pattern is long
    Given a streams server
    When I subscribe "mail" to "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/3/4/5/6/7" with the webhook "https://a.example"
    Then I get 400 with the code "INVALID_REQUEST"

  Scenario: More streams by name than all subscriptions may have
    Given a streams server with subscriptions_links_max 4
    When I subscribe "mail" to the streams "1,2,3" by name
    Then I get 507 with the code "FULL"
    When I subscribe "mail" to the streams "1,2" by name
    Then I get 201

  Scenario: A producer that made space for others begins a new epoch
    Given a streams server with producers_max 2
    And the stream "orders" as application/json
    When producer "first" of epoch 0 sends `1` as number 0 to "orders"
    And producer "second" of epoch 0 sends `2` as number 0 to "orders"
    And producer "third" of epoch 0 sends `3` as number 0 to "orders"
    Then I get 200
    When producer "first" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 403 with the problem "producer-fenced" and the words "has forgotten this producer"
    And the header "producer-epoch" is "0"
    When producer "first" of epoch 1 sends `4` as number 0 to "orders"
    Then I get 200
    And reading "orders" gives `[1,2,3,4]`

  Scenario: Many new producers lock nobody out
    Given a streams server with producers_max 10
    And the stream "orders" as application/json
    When 100 producers send `0` to "orders"
    And producer "honest" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 200
    When producer "honest" of epoch 0 sends `1` as number 0 to "orders"
    Then I get 204
