Feature: Configuring services

  As an environment that runs services
  I want to tell the broker which services there are
  So that it knows where to bring which message.

  Background:
    Given a broker

  Scenario: before any configuration
    When I GET /config.json
    Then the broker answers 200
    And the answer has the header "content-type: application/json; charset=utf-8"
    And the answer is this JSON:
      """
      {"services": {}, "routes": {}}
      """

  Scenario: services are listed with their routes
    Given the landscape:
      | NAME  | NAMESPACE | SENDS         | RECEIVES      |
      | web   |           | users.create  | users.created |
      | users | mongo     | mongo.created | mongo.create  |
    Then the broker logs "receiving routing setup:"
    And the broker logs "  --[ users.create ]-> users (127.0.0.1:{users.port})"
    When I GET /config.json
    Then the answer is this JSON:
      """
      {
        "services": {
          "web": {"name": "web", "host": "127.0.0.1", "port": {web.port}},
          "users": {"name": "users", "host": "127.0.0.1", "port": {users.port}, "internalNamespace": "mongo"}
        },
        "routes": {
          "users.create": {"receivers": [
            {"name": "users", "host": "127.0.0.1", "port": {users.port}, "internalNamespace": "mongo"}
          ]},
          "users.created": {"receivers": [{"name": "web", "host": "127.0.0.1", "port": {web.port}}]}
        }
      }
      """

  Scenario: the same landscape twice delivers every message once
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    When the landscape is posted:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And web sends "create" as "1"
    And web sends "create" as "2"
    Then users has received, in this order: 1, 2

  Scenario: a new landscape replaces the old one
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES       |
      | users |           |       | create, delete |
      | log   |           |       | create         |
    When the landscape is posted:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    And web sends "create" as "1"
    Then users has received, in this order: 1
    And log has received nothing
    When web sends "delete"
    Then the broker answers 404

  Scenario Outline: a landscape that is wrong changes nothing
    Given the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES |
      | users |           |       | create   |
    When I POST to /services:
      """
      <BODY>
      """
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-message" that says "<PROBLEM>"
    When web sends "create" as "1"
    Then users has received, in this order: 1

    Examples:
      | BODY                                                                              | PROBLEM                                            |
      | 5                                                                                 | must be a JSON array of services or a JSON object  |
      | [                                                                                 | not JSON: EOF while parsing                        |
      | [5]                                                                               | service 0: it must be a JSON object                |
      | [{"port":1,"receives":[]}]                                                        | service 0: 'name' must be                          |
      | [{"name":"a","receives":[]},{"name":"b","port":1,"receives":[]}]                  | service 0: 'port' must be a number                 |
      | [{"name":"a","port":1}]                                                           | service 0: 'receives' must be                      |
      | [{"name":"a","port":1,"receives":[7]}]                                            | service 0: 'receives' must be                      |
      | [{"name":"a","host":"x/y","port":1,"receives":[]}]                                | service 0: 'host' must be a host name              |
      | [{"name":"a","port":1,"receives":[]},{"name":"a","port":2,"receives":[]}]         | service 1: 'name' must be unique                   |
      | {"users":{"receives":"create"}}                                                   | role 'users': 'receives' must be an array          |
      | {"users":{},"users":{}}                                                           | the role 'users' is declared twice                 |
      | {"users":{"namespace":"mongo"}}                                                   | role 'users': 'namespace' belongs to another form  |
      | [{"role":"a","namespace":"b"},{"role":"c","messageTranslations":[{"public":"d","internal":"e"}]}] | use either for all |

  Scenario: the host of a service is honoured
    When I POST to /services:
      """
      [{"name": "users", "host": "users.invalid", "port": 1, "receives": ["create"]}]
      """
    And web sends "create"
    Then GET /config.json eventually says "'host':'users.invalid'"
    And GET /services eventually says "'queueLength':1"

  Scenario: services that registered themselves stay when a landscape comes
    Given the instance "users-1" of users receives "create"
    When the landscape is posted:
      | NAME | NAMESPACE | SENDS | RECEIVES |
      | log  |           |       | create   |
    And web sends "create" as "1"
    Then "users-1" has received, in this order: 1
    And log has received, in this order: 1

  Scenario Outline: roles are declared in the form of any era, and spoken to in their own language
    Given the instance "users-1" of users receives "nothing"
    When I POST to /services:
      """
      <BODY>
      """
    Then the broker answers 200
    When web sends "users.create"
    Then "users-1" receives "mongo.create"
    When web sends "nothing"
    Then the broker answers 404

    Examples:
      | BODY                                                                                                                                                                        |
      | {"web":{"sends":["users.create","nothing"]},"users":{"receives":["mongo.create"],"translations":[{"public":"users.create","internal":"mongo.create"}]}}                         |
      | [{"role":"web","sends":["users.create","nothing"]},{"role":"users","receives":["mongo.create"],"namespace":"mongo"}]                                                          |
      | [{"name":"web","sends":["users.create","nothing"]},{"name":"users","receives":["mongo.create"],"internalNamespace":"mongo"}]                                                  |
      | [{"role":"web","sends":["users.create","nothing"]},{"role":"users","receives":["mongo.create"],"messageTranslations":[{"public":"users.create","internal":"mongo.create"}]}]    |

  Scenario: what is sent to a declared role waits until it is there
    When I POST to /services:
      """
      {"web": {"sends": ["create"]}, "users": {"receives": ["create"]}}
      """
    And web sends "create" as "1"
    Then the broker answers 200
    When the instance "users-1" of users registers for "create"
    Then "users-1" has received, in this order: 1
