Feature: Replies over a broker of the WebSocket era
  Nothing marks a reply there but its activity: it is that of the request.

  Background:
    Given a broker of the WebSocket era
    And the relay "web" is connected to it

  Scenario Outline: A handler replies in the same activity
    Given "web" has a handler for "ping" that replies "pong" with `<payload>`
    When it sends "ping" in the activity "123"
    Then it gets the frame `{"name":"pong","sender":"web","activityId":"123","responseTo":"message-1","payload":<payload>}`

    Examples:
      | payload         |
      | {"name":"Will"} |
      | "a text"        |

  Scenario Outline: A reply is on the same behalf
    Given "web" has a handler for "ping" that replies "pong" with `1`
    When it sends "ping" in the activity "123" on behalf of `<auth>`
    Then it gets the frame `{"name":"pong","sender":"web","activityId":"123","responseTo":"message-1","payload":1,"auth":<auth>}`

    Examples:
      | auth               |
      | "1"                |
      | {"sessionId":"s1"} |

  Scenario: A reply stays on the security side channel
    Given "web" has a handler for "ping" that replies "pong" with `1`
    When it sends "ping" in the activity "123" as security
    Then it gets the frame `{"name":"pong","sender":"web","activityId":"123","responseTo":"message-1","payload":1,"isSecurity":true}`

  Scenario: A request is answered
    When "web" starts to request "ping"
    And it answers "ping" with "pong" and `{"id":456}`
    Then the request is answered by "pong" with `{"id":456}`

  Scenario Outline: A callback runs for the reply
    When "web" sends "<request>" with `{}` and a callback
    And it answers "<request>" with "<reply>" and `{"id":456}`
    Then the callback has run with "<reply>" and `{"id":456}`

    Examples:
      | request      | reply         |
      | users.create | users.created |
      | create user  | user created  |

  Scenario: A callback asks again
    When "web" sends "users.list" with a callback that requests "users.create"
    And it answers "users.list" with "users.listed" and `["Will"]`
    And it answers "users.create" with "users.created" and `{"id":456}`
    Then the callback has run with "users.created" and `{"id":456}`

  Scenario: A handler asks somebody else before it replies
    Given "web" has a handler for "complex ping" that asks "search" first and replies "complex pong"
    When it sends "complex ping" in the activity "123"
    And it answers "search" with "result" and `"found"`
    Then it gets the frame `{"name":"complex pong","sender":"web","activityId":"123","responseTo":"message-1","payload":"found"}`

  Scenario: Somebody waits for an activity, and a message of it comes
    When "web" sends "ping", waits 20000 ms for its activity, and notes if "pong" was received
    And it answers "ping" with "pong" and `1`
    Then it gets "pong received" from "web"

  Scenario: Somebody waits for an activity, and no message of it comes
    When "web" sends "ping", waits 100 ms for its activity, and notes if "pong" was received
    Then it gets "pong not received" from "web"
    And waiting has failed with the words "did not receive a reply for '7' after 100ms"

  Scenario: The handler gets what somebody waits for, too
    Given "web" has a handler for "pong"
    When "web" sends "ping", waits 20000 ms for its activity, and notes if "pong" was received
    And it answers "ping" with "pong" and `1`
    Then it gets "pong received" from "web"
    And "web" has handled "pong" with `1`
