Feature: Services register themselves

  As a service that starts somewhere
  I want to tell the broker what I receive and where I listen
  So that nobody has to configure the broker for me.

  Background:
    Given a broker with these settings:
      | lease_ms | 60000 |

  Scenario: a service registers
    When I PUT to /services/users:
      """
      {"instance": "users-1", "host": "localhost", "port": 4001, "receives": ["create"], "sends": ["created"]}
      """
    Then the broker answers 200
    And the answer is this JSON:
      """
      {"instance": "users-1", "leaseMs": 60000, "batchMessagesMax": 256}
      """
    And GET /config.json eventually says "'users':{'name':'users','host':'localhost','port':4001}"
    And GET /services eventually says "'instance':'users-1','kind':'registered','address':'localhost:4001'"

  Scenario: a service registers again with other data
    Given the instance "users-1" of users receives "create"
    When the instance "users-1" of users registers for "delete"
    And web sends "create"
    Then the broker answers 404
    When web sends "delete" as "1"
    Then "users-1" has received, in this order: 1

  Scenario: without a host, the one it calls from is used
    When I PUT to /services/users:
      """
      {"instance": "users-1", "port": 4001, "receives": ["create"]}
      """
    Then GET /services eventually says "'address':'127.0.0.1:4001'"

  Scenario: a service with a namespace
    When I PUT to /services/users:
      """
      {"instance": "users-1", "port": 4001, "receives": ["mongo.create"], "namespace": "mongo"}
      """
    Then GET /config.json eventually says "'users.create':{'receivers'"

  Scenario: a service leaves
    Given the instance "users-1" of users receives "create"
    When the instance "users-1" of users leaves
    Then GET /services eventually says "'services':[]"

  Scenario: a service that restarts gets what was sent meanwhile
    Given the instance "users-1" of users receives "create"
    When the instance "users-1" of users leaves
    And web sends "create" as "1"
    And web sends "create" as "2"
    Then the broker answers 200
    Given the instance "users-2" of users receives "create"
    Then users-2 has received, in this order: 1, 2

  Scenario: a service that left and does not come back
    Given a broker with these settings:
      | delivery_window_ms | 200 |
    And the instance "users-1" of users receives "create"
    When the instance "users-1" of users leaves
    And web sends "create" as "1"
    Then the broker answers 200
    And GET /undelivered eventually says "no instance of the role was there"
    When web sends "create"
    Then the broker answers 404

  Scenario: a broker that has just started keeps messages until services have registered
    Given a broker with these settings:
      | settle_ms | 5000 |
    When web sends "create" as "1"
    Then the broker answers 200
    Given the instance "users-1" of users receives "create"
    Then users-1 has received, in this order: 1

  Scenario: nobody registered in time
    Given a broker with these settings:
      | settle_ms | 100 |
    When web sends "zonk" as "1"
    Then the broker answers 200
    And GET /undelivered eventually says "no service receives it"
    When web sends "zonk"
    Then the broker answers 404

  Scenario: a service that is not there leaves
    When I DELETE /services/users?instance=nobody
    Then the broker answers 404
    And the answer is a problem of the kind "not-found" that says "'nobody' is not an instance of 'users'"

  Scenario Outline: a request that cannot be understood is refused as everything else is
    When I DELETE /services/<rest>
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-request" that says "<why>"

    Examples:
      | rest                        | why             |
      | users?instance=a&instance=b | duplicate field |
      | %ff?instance=a              | UTF-8           |

  Scenario: the lease of a silent service ends
    Given a broker with these settings:
      | lease_ms | 100 |
    And the instance "users-1" of users receives "create"
    Then GET /services eventually does not say "users-1"

  Scenario: an id belongs to one role
    Given the instance "one" of users receives "create"
    When I PUT to /services/log:
      """
      {"instance": "one", "port": 4001, "receives": []}
      """
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-message" that says "'one' is an instance of 'users' already"

  Scenario: the landscape has an end
    Given a broker with these settings:
      | instances_max | 1 |
    And the instance "users-1" of users receives "create"
    When I PUT to /services/users:
      """
      {"instance": "users-2", "port": 4001, "receives": []}
      """
    Then the broker answers 503
    And the answer is a problem of the kind "busy" that says "1 instances are registered"
    When the instance "users-1" of users registers for "create"
    Then the broker answers 200

  Scenario Outline: a registration that is wrong is refused, and the field is named
    When I PUT to /services/users:
      """
      <BODY>
      """
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-message" that says "<PROBLEM>"

    Examples:
      | BODY                                            | PROBLEM                              |
      | []                                              | must be a JSON object                |
      | {"port":1}                                      | 'instance' must be                   |
      | {"instance":"a"}                                | 'port' must be a number              |
      | {"instance":"a","port":0}                       | 'port' must be a number              |
      | {"instance":"a","port":1,"receives":"create"}   | 'receives' must be an array          |
      | {"instance":"a","port":1,"receives":[""]}       | 'receives': the message name is empty |
      | {"instance":"a","port":1,"batch":"yes"}         | 'batch' must be true or false        |
