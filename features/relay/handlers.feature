Feature: Handlers
  A service written in Rust gives each message it understands a handler.

  Background:
    Given a bus in this process
    And the relay "users" is on the bus

  Scenario: A message has a handler
    When "users" registers a handler for "users.create"
    Then "users" has a handler for "users.create"
    And "users" has no handler for "users.delete"

  Scenario: A table of handlers
    When "users" registers handlers for "users.create" and "users.list"
    Then "users" has a handler for "users.create"
    And "users" has a handler for "users.list"

  Scenario: A message has one handler only
    Given "users" has a handler for "hello"
    When "users" registers a handler for "hello"
    Then that fails: "there is already a handler for message 'hello': a name has one handler, give the second one another name"

  Scenario: A table with a name that is taken registers nothing
    Given "users" has a handler for "hello"
    When "users" registers handlers for "users.create" and "hello"
    Then that fails: "there is already a handler for message 'hello': a name has one handler, give the second one another name"
    And "users" has no handler for "users.create"

  Scenario: A message needs a name
    When "users" registers a handler for ""
    Then that fails: "cannot send this message: the message name is empty; give it a name such as "users.create""

  Scenario Outline: The handler gets the payload as it was sent
    Given the relay "web" is on the bus
    And "users" has a handler for "hello"
    When "web" sends "hello" with `<payload>`
    Then "users" has handled "hello" with `<payload>`

    Examples:
      | payload              |
      | "a text"             |
      | {"name":"Will"}      |
      | [1,2]                |
      | {}                   |
      | []                   |
      | ""                   |
      | 0                    |
      | false                |

  Scenario: No payload is no payload
    Given the relay "web" is on the bus
    And "users" has a handler for "hello"
    When "web" sends "hello" without payload
    Then "users" has handled "hello" without payload

  Scenario: A name may hold spaces, slashes and question marks
    Given the relay "web" is on the bus
    And "users" has a handler for "create user / now?"
    When "web" sends "create user / now?" with `1`
    Then "users" has handled "create user / now?" with `1`

  Scenario: A handler that fails costs its message and nothing else
    Given the relay "web" is on the bus
    And "users" has a handler for "hello" that fails with "no database"
    And "users" has a handler for "other"
    When "web" sends "hello" with `1`
    And "web" sends "other" with `2`
    Then "users" has handled "other" with `2`
    And the dead letters of "users" are "hello: no database"

  Scenario: A handler that panics costs its message and nothing else
    Given the relay "web" is on the bus
    And "users" has a handler for "hello" that panics with "out of cheese"
    And "users" has a handler for "other"
    When "web" sends "hello" with `1`
    And "web" sends "other" with `2`
    Then "users" has handled "other" with `2`
    And the dead letters of "users" are "hello: the handler panicked: out of cheese"

  Scenario: The same message twice is handled once
    Given the relay "web" is on the bus
    And "users" has a handler for "hello"
    When the bus delivers the message "m-1" called "hello" to "users" twice
    Then "users" has handled "hello" 1 times
