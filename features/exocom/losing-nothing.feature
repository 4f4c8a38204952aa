Feature: Losing nothing

  As the operator of an application of the WebSocket era
  I want what goes wrong in one place to stay there
  So that messages arrive which ExoCom would have lost.

  Background:
    Given the service data:
      | ROLE  | SENDS                     | RECEIVES                  |
      | web   | create user               | user created              |
      | users | user created              | create user               |
      | log   |                           | create user, user created |

  Scenario: a role that was away gets what it missed, in order
    Given exocom is running
    And web and log are connected
    When web sends "create user" with {"id":"1","payload":1}
    And web sends "create user" with {"id":"2","payload":2}
    Then log gets "create user" with {"id":"1"}
    And log gets "create user" with {"id":"2"}
    When users connects
    Then users gets "create user" with {"id":"1"}
    And users gets "create user" with {"id":"2"}
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      'log' registered
      No connected service for role 'users'
      web  --[ create user ]->  log
      1
      No connected service for role 'users'
      web  --[ create user ]->  log
      2
      'users' registered
      web  --[ create user ]->  users
      1
      web  --[ create user ]->  users
      2
      """

  Scenario: a message whose role does not connect in time is reported
    Given the variable EXORELAY__BROKER__DELIVERY_WINDOW_MS is `200`
    And exocom is running
    And web and log are connected
    When web sends "create user" with {"id":"1"}
    Then the log says `Undelivered message 'create user' from 'web' to 'users' with id '1': not delivered within 200 ms: no instance of the role was there`

  Scenario Outline: a service may say goodbye
    Given exocom is running
    And web and users are connected
    When users says goodbye with the code <CODE>
    Then the log says `'users' disconnected`
    When web sends "create user" with {"id":"1"}
    And users connects
    Then users gets "create user" with {"id":"1"}

    Examples:
      | CODE |
      | 1000 |
      | 1001 |

  Scenario: frames that cannot be understood cost nothing
    Given the variable SERVICE_DATA is `{"web":{"sends":["hi"],"receives":["hi"]}}`
    And exocom is running
    And web is connected
    When web sends the frame `hello`
    And web sends the frame `{"id":5,"name":"hi"}`
    And web sends the frame `[]`
    And web sends the bytes of `{"name":"hi","sender":"web","id":"1","activityId":"2"}`
    And web sends the frame `{"name":"hi","sender":"web"}`
    Then web gets "hi" with {"id":"1","activityId":"2"}
    And web gets "hi"
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      Error listening for messages for web ID: Error unmarshaling message: 'hello': the payload is not valid JSON (line 1, column 1: expected value)
      Warning: Service '' is not allowed to broadcast the message ''
      Error listening for messages for web ID: Error unmarshaling message: '{"id":5,"name":"hi"}': "id" must be a string
      Warning: Service '' is not allowed to broadcast the message ''
      Error listening for messages for web ID: Error unmarshaling message: '[]': expected a message, got a JSON array
      Warning: Service '' is not allowed to broadcast the message ''
      web  --[ hi ]->  web
      null
      web  --[ hi ]->  web
      null
      """

  Scenario: a call that asks for no socket
    Given exocom is running
    When I GET /services
    Then the answer is 400 `Bad Request`
    And the log says `Error upgrading request to websocket: Connection header did not include 'upgrade'`

  Scenario: web pages of other origins may not connect
    Given exocom is running
    When a web page of evil.example opens a socket
    Then the answer is 403 `Forbidden`
    And the log says `Error upgrading request to websocket: web pages of "http://evil.example" may not connect; list the origin in broker.cors_origins to allow them`
    When a web page of evil.example opens a socket at /config.json
    Then the answer is 403

  Scenario: web pages of an origin that is allowed may connect
    Given the variable EXORELAY__BROKER__CORS_ORIGINS is `http://app.example`
    And exocom is running
    When a web page of app.example opens a socket
    Then the answer is 101

  Scenario: stopping waits for roles that are away, and reports what they did not get
    Given the variable EXORELAY__DRAIN__GRACE_MS is `200`
    And exocom is running
    And web and log are connected
    When web sends "create user" with {"id":"1"}
    Then log gets "create user" with {"id":"1"}
    When exocom gets SIGTERM
    Then it ends with status 1
    And the log says `Undelivered message 'create user' from 'web' to 'users' with id '1': the broker shut down before it could be delivered`
