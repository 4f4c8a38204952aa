Feature: Webhook
  Messages without a handler in Rust go to the service over HTTP. The service may answer with replies; a message that it
  fails to handle is tried again, and finally kept as a dead letter.

  Scenario: The envelope
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"name":"Will"}` to api/send/hello
    Then the service gets "hello" with payload `{"name":"Will"}`
    And the service gets the path "/run/hello"
    And the service gets a body with "id", "name", "payload", "sender" and "activityId"

  Scenario: A name with spaces and slashes
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives "create user/now?" --forward {service}` is running
    When I POST `1` to api/send/create%20user%2Fnow%3F
    Then the service gets "create user/now?" with payload `1`
    And the service gets the path "/run/create%20user%2Fnow%3F"

  Scenario: Several replies in one answer
    Given a service that answers with the body `{"replies":[{"name":"one","payload":1},{"name":"two"}]}`
    And `exorelay broker` is running
    And `exorelay run --role users --bus {broker} --receives hello --forward {service}` is running as "users"
    And `exorelay run --role web --bus {broker}` is running as "web"
    And somebody follows api/messages
    When I POST `1` to api/send/hello
    Then the follower gets "one" with the payload `1`
    And the follower gets "two" without payload

  Scenario Outline: A reply counts whatever its content type
    Given a service that answers with the body `<BODY>` as <TYPE>
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/request/hello
    Then I get 200 with `[ 1 ]`

    Examples:
      | TYPE                       | BODY                                              |
      | text/html;charset=utf-8    | {"reply":{"name":"one","payload":[ 1 ]}}          |
      | application/octet-stream   | {"replies":[{"name":"one","payload":[ 1 ]}]}      |
      | application/json           | (byte order mark){"reply":{"name":"one","payload":[ 1 ]}} |

  Scenario Outline: An answer that is no reply means handled, and a warning says what was expected
    Given a service that answers with the body `<BODY>` as <TYPE>
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    And I POST `2` to api/send/hello
    Then the service has got "hello" 2 times
    And the log of the sidecar says once "the service answers with <WHAT>, which is no reply"
    And there are no dead letters

    Examples:
      | TYPE             | BODY          | WHAT                             |
      | text/plain       | OK            | text that is not JSON            |
      | text/html        | <html></html> | HTML or XML                      |
      | application/json | OK            | text that is not JSON            |
      | application/json | [1]           | a JSON array                     |
      | application/json | {"id":1}      | a JSON object with "id"          |

  Scenario: An answer with an invalid reply makes a dead letter
    Given a service that answers with the body `{"reply":{"payload":1}}`
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "name"

  Scenario: CloudEvents
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service} --format cloudevents` is running
    When I POST `{"name":"Will"}` to api/send/hello
    Then the service gets the header "ce-type: hello"
    And the service gets the header "ce-specversion: 1.0"
    And the service gets the raw body `{"name":"Will"}`

  Scenario: Signed as Standard Webhooks describes
    Given the setting EXORELAY__WEBHOOK__SECRET is whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    And a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"name":"Will"}` to api/send/hello
    Then the service gets a signature that fits the secret "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

  Scenario: Signed with the new secret and the old one while services change from one to the other
    Given the setting EXORELAY__WEBHOOK__SECRET is whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX
    And a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"name":"Will"}` to api/send/hello
    Then the service gets a signature that fits the secret "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    And the service gets a signature that fits the secret "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

  Scenario: A service that fails for a while
    Given a service that answers 500 to the first 3 messages
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then the service has got "hello" 4 times
    And the service gets the header "exo-attempt: 4"
    And the service gets a body with "id", "name" and "attempt"
    And there are no dead letters

  Scenario: A service that says when to try again
    Given a service that answers 429 with "retry-after: 1" to the first message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then the service has got "hello" 2 times, at least 1000 ms apart

  Scenario: A service that says to try again in a hundred years
    Given a service that answers 429 with "retry-after: 4294967295" to the first message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "gave up after 1 attempts"

  Scenario: A service that answers with more replies than anyone sends
    Given the setting EXORELAY__WEBHOOK__ANSWER_REPLIES_MAX is 2
    And a service that answers with the body `{"replies":[{"name":"a"},{"name":"b"},{"name":"c"}]}`
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "the answer has 3 replies, at most 2 are sent"

  Scenario: A service that starts after its sidecar
    Given a service that is not up yet
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    And the service comes up
    Then the service gets "hello" with payload `1`

  Scenario: A service that refuses is not called again
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "400"
    And the service has got "hello" 1 times

  Scenario: A service that keeps failing
    Given the setting EXORELAY__WEBHOOK__DEADLINE_MS is 500
    And a service that answers 500 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "gave up"

  Scenario: A service that hangs
    Given the setting EXORELAY__WEBHOOK__TIMEOUT_MS is 100
    And the setting EXORELAY__WEBHOOK__DEADLINE_MS is 400
    And a service that hangs
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "did not answer within 100 ms"

  Scenario: A service that resets the connection
    Given the setting EXORELAY__WEBHOOK__DEADLINE_MS is 400
    And a service that resets every connection
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "gave up"

  Scenario: A service that answers ten megabytes
    Given the setting EXORELAY__WEBHOOK__DEADLINE_MS is 400
    And a service that answers with 10000000 bytes
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "over the limit of 1048576 bytes"

  Scenario: A service that redirects is not followed
    Given a service that redirects to "http://169.254.169.254/latest"
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "redirect"

  Scenario Outline: A service that answers everything gets no answer to its own messages
    Given a service that answers with the body `{"reply":{"name":"users.created","payload":1}}`
    And `exorelay run --role users --bus embedded --forward {service} --receives <RECEIVES>` is running
    When I POST `1` to api/send/users.create
    Then the service was called 1 times
    And the metric "exorelay_relay_unwanted_replies_total" of the sidecar becomes 1
    And the service was called 1 times
    And there are no dead letters

    Examples:
      | RECEIVES               |
      | users.create           |
      | users.create,something |

  Scenario: A role that declares what it receives gets nothing else
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"id":"1"}` to listen/run/zonk
    Then I get 404 with `unknown message: 'zonk'`
    When I POST `{"id":"2"}` to listen/run/hello
    Then the service gets "hello" with no payload
    And the service was called 1 times

  Scenario: A reply that nobody waits for goes to a role that receives it
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"id":"1","responseTo":"0"}` to listen/run/hello
    Then the service gets "hello" with no payload
    When I POST `{"id":"2","responseTo":"0"}` to listen/run/zonk
    Then I get 200 with an empty body
    And the metric "exorelay_relay_unwanted_replies_total" of the sidecar becomes 1
    And the service was called 1 times
