Feature: Registering services

  As an operator
  I want to see who is connected
  So that I can tell what is missing when something does not work.

  Scenario: a service registers
    Given the service data:
      | ROLE  | SENDS | RECEIVES |
      | users |       |          |
    And exocom is running
    Then /config.json is, as text/plain:
      """
      {"clients":null,"routes":{"users":{"receives":[],"sends":[],"translations":[]}}}
      """
    When users connects
    Then the log says `'users' registered`
    And /config.json is, as text/plain:
      """
      {"clients":[{"role":"users","instances":1}],"routes":{"users":{"receives":[],"sends":[],"translations":[]}}}
      """

  Scenario: a service goes offline
    Given the service data:
      | ROLE  | SENDS       | RECEIVES    | TRANSLATIONS |
      | web   | create user |             |              |
      | users |             | mongo create | create user = mongo create |
    And exocom is running
    And web and users are connected
    When the connection of web is cut
    Then the log says `'web' disconnected`
    And /config.json is, as text/plain:
      """
      {"clients":[{"role":"users","instances":1}],
       "routes":{"users":{"receives":["mongo create"],"sends":[],"translations":[{"public":"create user","internal":"mongo create"}]},
                 "web":{"receives":[],"sends":["create user"],"translations":[]}}}
      """

  Scenario: a role that nobody configured, several times
    Given the service data:
      | ROLE  | SENDS | RECEIVES |
      | users | hello |          |
    And exocom is running
    And the instance one of stranger is connected
    And the instance two of stranger is connected
    Then /config.json is, as text/plain:
      """
      {"clients":[{"role":"stranger","instances":2}],"routes":{"users":{"receives":[],"sends":["hello"],"translations":[]}}}
      """
    When one sends "hello"
    Then the log says `Warning: Service 'stranger' is not allowed to broadcast the message 'hello'`

  Scenario: the configuration is shown by any method, everything else is refused
    Given the service data:
      | ROLE  | SENDS | RECEIVES |
      | users |       |          |
    And exocom is running
    When I POST /config.json
    Then the answer is 200
    When I GET /
    Then the answer is 400 `Bad Request`
    When I POST /services
    Then the answer is 400 `Bad Request`
    When I POST /send/hello
    Then the answer is 400 `Bad Request`
