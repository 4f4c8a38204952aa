Feature: Calls from a service to its sidecar
  A service in any language sends, requests and replies with one HTTP call each. The body is the payload; correlation
  travels in headers.

  Background:
    Given a service that answers "users.create" with "users.created" and `{"id":456,"name":"Will"}`
    And `exorelay run --role users --bus embedded --receives users.create --forward {service}` is running

  Scenario: Send
    When I POST `{"name":"Will"}` to api/send/users.create
    Then I get 202 with an id and an activity id
    And the service gets "users.create" with payload `{"name":"Will"}`

  Scenario: Send without a payload
    When I POST `` to api/send/users.create
    Then I get 202 with an id and an activity id
    And the service gets "users.create" with no payload

  Scenario: Request, and wait for the reply
    When I POST `{"name":"Will"}` to api/request/users.create
    Then I get 200 with `{"id":456,"name":"Will"}`
    And the answer has the header "exo-message: users.created"
    And the answer has a header "exo-message-id"

  Scenario: The default content type of curl is accepted
    When I POST `{"name":"Will"}` to api/request/users.create with the header "content-type: application/x-www-form-urlencoded"
    Then I get 200 with `{"id":456,"name":"Will"}`

  Scenario: A conversation
    When I POST `1` to api/send/users.create with the header "exo-activity-id: signup-7"
    Then I get 202 with the activity id "signup-7"
    And the service gets the activity id "signup-7"

  Scenario Outline: On somebody's behalf
    When I POST `1` to api/request/users.create with the header "exo-auth: <auth>"
    Then I get 200 with `{"id":456,"name":"Will"}`
    And the service gets the auth `<auth>`
    And the answer has the header "exo-auth: <auth>"

    Examples:
      | auth                |
      | {"sessionId":"s 1"} |
      | "s-1"               |
      | 1                   |

  Scenario: On nobody's behalf
    When I POST `1` to api/request/users.create with the header "exo-auth: null"
    Then I get 200 with `{"id":456,"name":"Will"}`
    And the service gets no auth

  Scenario: A message of the security side channel
    When I POST `1` to api/send/users.create with the header "exo-security: true"
    Then I get 202 with an id and an activity id
    And the service gets a body with "isSecurity"

  Scenario Outline: Invalid headers
    When I POST `1` to api/send/users.create with the header "<header>"
    Then I get 400 with the problem "invalid-request" and the words "<words>"

    Examples:
      | header             | words                                      |
      | exo-auth: {broken  | exo-auth: the header is not a JSON value   |
      | exo-security: yes  | exo-security: expected true or false       |

  Scenario: Nobody receives it
    When I POST `1` to api/request/zonk
    Then I get 404 with the problem "no-receivers" and the words "no service receives 'zonk'"

  Scenario: Nobody answers in time
    Given the service answers with nothing
    When I POST `1` to api/request/users.create?timeout=100ms
    Then I get 504 with the problem "no-reply" and the words "no reply to users.create within 100 ms"

  Scenario Outline: An invalid timeout
    When I POST `1` to api/request/users.create?timeout=<timeout>
    Then I get 400 with the problem "invalid-request" and the words "expected a time up to 1h"

    Examples:
      | timeout |
      | soon    |
      | 0       |
      | 2h      |

  Scenario: A reply says what it answers
    When I POST `1` to api/reply/users.created
    Then I get 400 with the problem "invalid-request" and the words "a reply needs the header Exo-Response-To"

  Scenario: A reply to a request that waits
    Given the service answers with nothing
    And a request of "users.create" is waiting at the api
    When I POST `{"late":false}` to api/reply/users.created in answer to what the service got
    Then the waiting request gets 200 with `{"late":false}`

  Scenario Outline: A payload that is not JSON
    When I POST `<body>` to api/send/users.create
    Then I get 400 with the problem "invalid-message" and the words "the payload is not valid JSON"

    Examples:
      | body     |
      | {"a":    |
      | 1 2      |
      | hello    |

  Scenario: A path that does not exist
    When I GET api/zonk
    Then I get 404 with the problem "not-found" and the words "cannot GET /zonk"

  Scenario: A method that is not allowed
    When I GET api/send/users.create
    Then I get 405 with the problem "method-not-allowed" and the words "does not support GET"

  Scenario: The same idempotency key makes the request once
    When I POST `1` to api/request/users.create with the header "idempotency-key: order-1"
    And I POST `1` to api/request/users.create with the header "idempotency-key: order-1"
    Then I get 200 with `{"id":456,"name":"Will"}`
    And both answers are the same
    And the service has got "users.create" 1 times

  Scenario: A reply that comes when nobody waits any more belongs to its idempotency key
    Given the service answers with nothing
    When I POST `1` to api/request/users.create?timeout=100ms with the header "idempotency-key: order-1"
    Then I get 504 with the problem "no-reply" and the words "no reply to users.create within 100 ms"
    When I POST `{"late":true}` to api/reply/users.created in answer to what the service got
    And I POST `1` to api/request/users.create?timeout=10s with the header "idempotency-key: order-1"
    Then I get 200 with `{"late":true}`
    And the service has got "users.create" 1 times

  Scenario: The same idempotency key with another body
    When I POST `1` to api/send/users.create with the header "idempotency-key: order-1"
    And I POST `2` to api/send/users.create with the header "idempotency-key: order-1"
    Then I get 422 with the problem "idempotency-mismatch" and the words "use a new key for a new message"

  Scenario: The bus is away and the outbox is full
    Given the setting EXORELAY__RELAY__OUTBOX_MESSAGES_MAX is 1
    And `exorelay run --role web --bus http://127.0.0.1:1` is running
    When I POST `1` to api/send/users.create until it is refused
    Then I get 503 with the problem "busy" and the words "the outbox is full (limit 1)"
    And the answer has a header "retry-after"
