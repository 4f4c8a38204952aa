Feature: Sending to a broker of the WebSocket era
  The frames are those that the originals send.

  Background:
    Given a broker of the WebSocket era
    And the relay "web" is connected to it

  Scenario Outline: The frame that arrives
    When "web" sends "<name>" <with>
    Then it gets the frame `<frame>`

    Examples:
      | name        | with                     | frame                                                                  |
      | createUser  | without payload          | {"name":"createUser","sender":"web"}                                   |
      | create user | without payload          | {"name":"create user","sender":"web"}                                  |
      | createUser  | with `{"name":"Will"}`   | {"name":"createUser","sender":"web","payload":{"name":"Will"}}         |
      | createUser  | with `{}`                | {"name":"createUser","sender":"web","payload":{}}                      |
      | createUser  | with `"a text"`          | {"name":"createUser","sender":"web","payload":"a text"}                |
      | createUser  | with `""`                | {"name":"createUser","sender":"web","payload":""}                      |
      | createUser  | with `["one","two"]`     | {"name":"createUser","sender":"web","payload":["one","two"]}           |
      | createUser  | with `[]`                | {"name":"createUser","sender":"web","payload":[]}                      |

  Scenario Outline: On somebody's behalf
    When "web" sends "createUser" on behalf of `<auth>` with `1`
    Then it gets the frame `{"name":"createUser","sender":"web","payload":1,"auth":<auth>}`

    Examples:
      | auth                |
      | "1"                 |
      | {"sessionId":"s1"}  |

  Scenario: On the security side channel
    When "web" sends "createUser" on behalf of `"1"` as security with `1`
    Then it gets the frame `{"name":"createUser","sender":"web","payload":1,"auth":"1","isSecurity":true}`

  Scenario: A message without a name is refused
    When "web" sends "" without payload
    Then that fails: "cannot send this message: the message name is empty; give it a name such as "users.create""

  Scenario: A payload that is no JSON is refused
    When "web" sends "hello" with a payload that cannot be written as JSON
    Then that fails with the words "its payload cannot be written as JSON"

  Scenario: Messages arrive in the order of sending
    When "web" sends 100 messages called "users.create"
    Then it gets the 100 messages in the order of sending

  Scenario Outline: A handler sends a message of its own conversation, on nobody's behalf
    Given "web" has a handler for "<name>" that sends "<other>" with `{"name":"Jean-Luc"}`
    When it sends "<name>" in the activity "123" on behalf of `"1"`
    Then it gets the frame `{"name":"<other>","sender":"web","payload":{"name":"Jean-Luc"}}`

    Examples:
      | name         | other        |
      | users.create | mongo.create |
      | create user  | mongo create |
