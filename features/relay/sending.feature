Feature: Sending
  A service sends a message by name, with any JSON value as payload. An ExoCom broker of the HTTP era receives the
  same bytes as from its own relays.

  Background:
    Given a recording broker
    And the relay "web" uses it unregistered

  Scenario Outline: The body that arrives
    When "web" sends "users.create" <with>
    Then the broker gets "POST /send/users.create" with <fields>
    And it says who sent it, has an id, and is JSON

    Examples:
      | with                     | fields                      |
      | without payload          | no payload                  |
      | with `{"name":"Will"}`   | payload `{"name":"Will"}`   |
      | with `{}`                | payload `{}`                |
      | with `"text"`            | payload `"text"`            |
      | with `""`                | payload `""`                |
      | with `["one","two"]`     | payload `["one","two"]`     |
      | with `[]`                | payload `[]`                |
      | with `0`                 | payload `0`                 |

  Scenario: A name with spaces and slashes travels encoded
    When "web" sends "create user/now?" without payload
    Then the broker gets "POST /send/create%20user%2Fnow%3F" with no payload

  Scenario: A message without a name is refused
    When "web" sends "" without payload
    Then that fails: "cannot send this message: the message name is empty; give it a name such as "users.create""

  Scenario: A message whose name has a line break is refused
    When "web" sends "users\ncreate" without payload
    Then that fails: "cannot send this message: the message name "users\ncreate" has a control character; give it a name such as "users.create""

  Scenario: A payload that is not JSON is refused
    When "web" sends "hello" with a payload that cannot be written as JSON
    Then that fails: "cannot send hello: its payload cannot be written as JSON: key must be a string"

  Scenario: Messages arrive in the order of sending
    When "web" sends 100 messages called "count"
    Then the broker gets 100 messages called "count" in that order

  Scenario: A handler sends a message of its own
    Given "web" has a handler for "users.create" that sends "mongo.create" with `{"name":"Jean-Luc"}`
    When somebody posts `{"id":"111","payload":{}}` to "/run/users.create" of "web"
    Then the answer is 200
    And the broker gets "POST /send/mongo.create" with payload `{"name":"Jean-Luc"}`
    And it answers nothing

  Scenario Outline: A handler replies
    Given "web" has a handler for "users.create" that replies "users.created" with `<payload>`
    When somebody posts `{"id":"111","payload":{}}` to "/run/users.create" of "web"
    Then the answer is 200
    And the broker gets "POST /send/users.created" with payload `<payload>`
    And it answers "111"

    Examples:
      | payload           |
      | {"name":"Will"}   |
      | "a text"          |

  Scenario: A message that answers another, in a conversation of its own choice
    When "web" sends "users.created" with `1` in reply to "111" and in the activity "signup-7"
    Then the broker gets "POST /send/users.created" with payload `1`
    And it answers "111"
    And it belongs to the activity "signup-7"

  Scenario: An activity without a name is refused
    When "web" sends "users.created" with `1` in reply to "111" and in the activity ""
    Then that fails with the words "the activity id is empty"

  Scenario: The same idempotency key sends once
    When "web" sends "pay" with `1` under the key "order-1"
    And "web" sends "pay" with `1` under the key "order-1"
    And "web" sends "last" without payload
    Then the broker has got 1 messages called "pay" before "last"
    And both sends gave the same id

  Scenario: The same idempotency key does not send something else
    When "web" sends "pay" with `1` under the key "order-1"
    And "web" sends "pay" with `2` under the key "order-1"
    Then that fails: "the idempotency key "order-1" was used for another message: use a new key for a new message"
