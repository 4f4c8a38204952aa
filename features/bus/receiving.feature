Feature: Receiving from a broker of the WebSocket era

  Background:
    Given a broker of the WebSocket era
    And the relay "users" is connected to it

  Scenario Outline: The handler gets the payload as it was sent
    Given "users" has a handler for "hello"
    When it sends "hello" with `<payload>`
    Then "users" has handled "hello" with `<payload>`

    Examples:
      | payload           |
      | "a text"          |
      | {"name":"Will"}   |
      | [1,2]             |
      | null              |

  Scenario: A message without the key of the payload
    Given "users" has a handler for "hello"
    When it sends the frame `{"name":"hello","id":"1"}`
    Then "users" has handled "hello" without payload

  Scenario: A name with blanks
    Given "users" has a handler for "create user"
    When it sends "create user" with `1`
    Then "users" has handled "create user" with `1`

  Scenario Outline: On whose behalf a message is sent
    Given "users" has a handler for "hello"
    When it sends "hello" on behalf of `<auth>`
    Then "users" has handled "hello" on behalf of `<auth>`

    Examples:
      | auth                |
      | "1"                 |
      | {"sessionId":"s1"}  |

  Scenario: A message of the security side channel
    Given "users" has a handler for "hello"
    When it sends "hello" as security
    Then "users" has handled "hello" as security

  Scenario Outline: A message that cannot be handled is reported, and affects nothing else
    Given "users" has a handler for "hello"
    When it sends the frame `<frame>`
    And it sends "hello" with `1`
    Then "users" reports "<words>"
    And "users" has handled "hello" with `1`

    Examples:
      | frame                      | words                                |
      | {"name":"zonk","id":"1"}   | unknown message: 'zonk'              |
      | {"id":"1"}                 | missing message name                 |
      | {"name":"","id":"1"}       | missing message name                 |
      | {"name":"hello"}           | missing message id                   |
      | {"name":"hello","id":5}    | "id" must be a string                |
      | hello                      | the payload is not valid JSON        |
      | 5                          | the body must be a JSON object       |
