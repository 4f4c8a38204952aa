Feature: Refusing messages

  As the author of a service
  I want to learn at once what is wrong with my message
  So that nothing is lost in silence.

  Background:
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |

  Scenario: nobody receives the message
    When web sends "zonk"
    Then the broker answers 404
    And the answer is a problem of the kind "no-receivers" that says "no service receives the message 'zonk'"

  Scenario: an unknown sender is no obstacle
    When stranger sends "create" as "1"
    Then users has received, in this order: 1
    When stranger sends "users.zonk"
    Then the broker answers 404

  Scenario Outline: a message that cannot be understood
    When I POST to /send/create:
      """
      <BODY>
      """
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-message" that says "<PROBLEM>"
    And users has received nothing

    Examples:
      | BODY                        | PROBLEM                        |
      | {}                          | missing message id             |
      | {"id":""}                   | missing message id             |
      | {"id":5}                    | 'id' must be a string          |
      | {"id":"1"                   | the payload is not valid JSON  |
      | "create"                    | must be a JSON object          |
      | {"id":"1","responseTo":7}   | 'responseTo' must be a string  |

  Scenario: several messages in one call, each with its own verdict
    When I POST to /send:
      """
      [{"id": "1", "name": "create"}, {"id": "2", "name": "zonk"}, {"name": "create"}, {"id": "4", "name": "create"}]
      """
    Then the broker answers 200
    And the answer is this JSON:
      """
      [
        {"status": 200},
        {"status": 404, "detail": "no service receives this message"},
        {"status": 400, "detail": "missing message id"},
        {"status": 200}
      ]
      """
    And users has received, in this order: 1, 4

  Scenario: more messages in one call than allowed
    Given a broker with these settings:
      | batch_messages_max | 1 |
    When I POST to /send:
      """
      [{"id": "1", "name": "create"}, {"id": "2", "name": "create"}]
      """
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-message" that says "2 messages, at most 1"

  Scenario Outline: there is nothing there
    When I GET <PATH>
    Then the broker answers <STATUS>

    Examples:
      | PATH         | STATUS |
      | /nothing     | 404    |
      | /status.json | 404    |
      | /send/create | 405    |
      | /health      | 200    |
      | /ready       | 200    |
      | /metrics     | 200    |
