Feature: Requests and replies
  A request waits for the message that answers it. Replies find their request by its id.

  Background:
    Given a bus in this process
    And the relay "web" is on the bus
    And the relay "users" is on the bus

  Scenario: A request is answered
    Given "users" has a handler for "users.create" that replies "users.created" with `{"id":456}`
    When "web" requests "users.create" with `{"name":"Will"}`
    Then the request is answered by "users.created" with `{"id":456}`
    And "web" has 0 requests waiting

  Scenario: The requester need not subscribe to the reply
    Given "users" has a handler for "ping" that replies "some name nobody lists" with `1`
    When "web" requests "ping" without payload
    Then the request is answered by "some name nobody lists" with `1`

  Scenario: A callback runs for the reply
    Given "users" has a handler for "users.create" that replies "users.created" with `{"id":456}`
    When "web" sends "users.create" with `{}` and a callback
    Then the callback has run with "users.created" and `{"id":456}`

  Scenario: A callback asks again
    Given "users" has a handler for "users.list" that replies "users.listed" with `["Will"]`
    And "users" has a handler for "users.create" that replies "users.created" with `{"id":456}`
    When "web" sends "users.list" with a callback that requests "users.create"
    Then the callback has run with "users.created" and `{"id":456}`

  Scenario: Replies stream in until the last one
    Given "users" has a handler for "count" that replies "one", "two" and "done"
    When "web" requests "count" as a stream until "done"
    Then the stream gave "one", "two", "done" and ended
    And "web" has 0 requests waiting

  Scenario: Replies stream in until there are enough
    Given "users" has a handler for "count" that replies "one", "two" and "done"
    When "web" requests "count" as a stream of at most 2
    Then the stream gave "one", "two" and ended
    And "web" has 0 requests waiting

  Scenario: Replies stream in until the time is over
    Given "users" has a handler for "count" that replies "one", "two" and "done"
    When "web" requests "count" as a stream for 300 ms
    Then the stream gave "one", "two", "done" and then failed: "no reply to count within 300 ms"

  Scenario: Nobody answers
    Given "users" has a handler for "ping"
    When "web" requests "ping" without payload within 50 ms
    Then that fails: "no reply to ping within 50 ms"
    And "web" has 0 requests waiting

  Scenario: No receiver is a different error than no answer
    When "web" requests "zonk" without payload
    Then that fails: "no service receives 'zonk': check the name, and that its service is registered"

  Scenario: The requester goes away
    Given "users" has a handler for "ping"
    When "web" starts to request "ping" and goes away
    Then "web" has 0 requests waiting

  Scenario: A late reply is handled as a message if there is a handler for it
    Given "users" has a handler for "ping" that replies "pong" with `1` after 150 ms
    And "web" has a handler for "pong"
    When "web" requests "ping" without payload within 20 ms
    Then that fails: "no reply to ping within 20 ms"
    And "web" has handled "pong" with `1`

  Scenario: A late reply that nobody wants is no error
    Given "users" has a handler for "ping" that replies "pong" with `1` after 150 ms
    When "web" requests "ping" without payload within 20 ms
    Then that fails: "no reply to ping within 20 ms"
    And nothing goes wrong at "users" or "web"

  Scenario: The reply goes to the instance that asked
    Given another relay "web" is on the bus
    And "users" has a handler for "ping" that replies "pong" with `1`
    When each "web" requests "ping" 20 times
    Then all of them are answered

  Scenario: Too many requests at once are refused, not queued without end
    Given "users" has a handler for "ping"
    And the relay "small" with at most 2 requests waiting is on the bus
    When "small" starts 2 requests of "ping"
    And "small" requests "ping" without payload
    Then that fails: "the table of waiting requests is full (limit 2): try again in 200 ms"
