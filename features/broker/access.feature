Feature: Access to the broker
  As the operator of a bus
  I want each role to be used only by those who have its token
  So that nobody sends, receives or leaves in the name of a service that is not theirs.

  Background:
    Given a broker with these settings:
      | tokens          | ["web=w3b", "users=old", "users=new", "mail=sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"] |
      | operator_tokens | ["ops"] |

  Scenario: nobody registers under a role without its token
    When I PUT to /services/web:
      """
      {"instance": "w1", "port": 5000}
      """
    Then the broker answers 401
    And the answer is a problem of the kind "unauthenticated" that says "the role 'web' needs its token to register"
    When I PUT to /services/web with the token "old":
      """
      {"instance": "w1", "port": 5000}
      """
    Then the broker answers 403
    When I PUT to /services/web with the token "w3b":
      """
      {"instance": "w1", "port": 5000}
      """
    Then the broker answers 200

  Scenario Outline: an old token is good until it is removed, and a token may be configured as its digest
    When I PUT to /services/<ROLE> with the token "<TOKEN>":
      """
      {"instance": "i1", "port": 5000}
      """
    Then the broker answers <STATUS>

    Examples:
      | ROLE  | TOKEN | STATUS |
      | users | old   | 200    |
      | users | new   | 200    |
      | users | w3b   | 403    |
      | users | ops   | 403    |
      | mail  | abc   | 200    |
      | mail  | ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad | 401 |

  Scenario Outline: nobody sends in the name of a role without its token
    Given users listens as "u1" for "create" with the token "new"
    When I POST to /send/create with the token "<TOKEN>":
      """
      {"id": "1", "sender": "web"}
      """
    Then the broker answers <STATUS>

    Examples:
      | TOKEN | STATUS |
      |       | 401    |
      | wrong | 401    |
      | new   | 403    |
      | ops   | 403    |
      | w3b   | 200    |

  Scenario Outline: the id of an instance proves nothing
    Given users listens as "u1" for "create" with the token "new"
    And web listens as "w1" for "created" with the token "w3b"
    When as the instance "w1" I POST to /send/create with the token "<TOKEN>":
      """
      {"id": "1"<SENDER>}
      """
    Then the broker answers <STATUS>

    Examples:
      | SENDER              | TOKEN | STATUS |
      |                     |       | 401    |
      | , "sender": "web"   |       | 401    |
      |                     | new   | 403    |
      | , "sender": "users" | new   | 403    |
      | , "sender": "users" | w3b   | 403    |
      | , "sender": "guest" | w3b   | 403    |
      |                     | w3b   | 200    |
      | , "sender": "web"   | w3b   | 200    |

  Scenario: every message of an array is checked
    Given users listens as "u1" for "create" with the token "new"
    When I POST to /send with the token "w3b":
      """
      [{"id": "1", "name": "create", "sender": "web"}, {"id": "2", "name": "create", "sender": "mail"}]
      """
    Then the broker answers 200
    And the answer is this JSON:
      """
      [{"status": 200}, {"status": 403, "detail": "sending as \"mail\" needs the token of that role"}]
      """
    And "u1" has received, in this order: 1

  Scenario: a message without a sender is signed with the role of the token
    Given users listens as "u1" for "create" with the token "new"
    When I POST to /send/create with the token "w3b":
      """
      {"id": "1"}
      """
    Then the broker answers 200
    And "u1" has received the body `{"id":"1","name":"create","sender":"web","activityId":"1"}`

  Scenario Outline: nobody takes a service off the bus without its token
    Given users listens as "u1" for "create" with the token "new"
    When I DELETE /services/users?instance=u1 with the token "<TOKEN>"
    Then the broker answers <STATUS>

    Examples:
      | TOKEN | STATUS |
      |       | 401    |
      | w3b   | 403    |
      | old   | 204    |
      | ops   | 204    |

  Scenario: an instance is not taken over by another role
    Given users listens as "u1" for "create" with the token "new"
    When I PUT to /services/web with the token "w3b":
      """
      {"instance": "u1", "port": 5000}
      """
    Then the broker answers 400
    When I PUT to /services/users with the token "w3b":
      """
      {"instance": "u1", "port": 5000}
      """
    Then the broker answers 403

  Scenario: only an operator replaces the landscape
    When I POST to /services with the token "w3b":
      """
      [{"name": "users", "host": "127.0.0.1", "port": 5000, "receives": ["create"]}]
      """
    Then the broker answers 403
    And the answer is a problem of the kind "forbidden" that says "broker.operator_tokens"
    When I POST to /services with the token "ops":
      """
      [{"name": "users", "host": "127.0.0.1", "port": 5000, "receives": ["create"]}]
      """
    Then the broker answers 200

  Scenario Outline: who may look at what
    When I GET <PATH> with the token "<TOKEN>"
    Then the broker answers <STATUS>

    Examples:
      | PATH           | TOKEN | STATUS |
      | /undelivered   |       | 401    |
      | /undelivered   | w3b   | 403    |
      | /undelivered   | ops   | 200    |
      | /activities/1  |       | 401    |
      | /activities/1  | w3b   | 403    |
      | /activities/1  | ops   | 404    |
      | /traffic       |       | 401    |
      | /traffic       | w3b   | 403    |
      | /services      |       | 401    |
      | /services      | w3b   | 200    |
      | /services      | ops   | 200    |
      | /config.json   |       | 401    |
      | /config.json   | w3b   | 200    |
      | /health        |       | 200    |
      | /ready         |       | 200    |

  Scenario: nobody answers a request that went to another role
    Given users listens as "u1" for "create" with the token "new"
    And web listens as "w1" for "created" with the token "w3b"
    And mail listens as "m1" for "sent" with the token "abc"
    When as the instance "w1" I POST to /send/create with the token "w3b":
      """
      {"id": "r1", "relay": {"replyTo": {"instance": "w1", "timeoutMs": 60000}}}
      """
    Then the broker answers 200
    When as the instance "m1" I POST to /send/created with the token "abc":
      """
      {"id": "r2", "responseTo": "r1"}
      """
    Then the broker answers 403
    And the answer is a problem of the kind "forbidden" that says "answers a request that 'mail' did not get"
    When as the instance "m1" I POST to /send/exocom.failed with the token "abc":
      """
      {"id": "r3", "responseTo": "r1", "payload": {"reason": "no"}}
      """
    Then the broker answers 403
    When as the instance "u1" I POST to /send/created with the token "new":
      """
      {"id": "r4", "responseTo": "r1"}
      """
    Then the broker answers 200
    And "w1" has received, in this order: r4

  Scenario: nobody has the answer to a request sent to an instance of another role
    Given users listens as "u1" for "create" with the token "new"
    And web listens as "w1" for "created" with the token "w3b"
    When I POST to /send/create with the token "new":
      """
      {"id": "r1", "sender": "users", "relay": {"replyTo": {"instance": "w1", "timeoutMs": 60000}}}
      """
    Then the broker answers 403

  Scenario: only the broker says that a message was not delivered
    Given web listens as "w1" for "created" with the token "w3b"
    When I POST to /send/exocom.undelivered with the token "new":
      """
      {"id": "1", "sender": "users", "responseTo": "5", "relay": {"to": "w1"}}
      """
    Then the broker answers 403

  Scenario: a role without a token is open, unless there is one for all
    When I PUT to /services/guest:
      """
      {"instance": "g1", "port": 5000}
      """
    Then the broker answers 200
    Given a broker with these settings:
      | tokens | ["*=all", "web=w3b"] |
    When I PUT to /services/guest:
      """
      {"instance": "g1", "port": 5000}
      """
    Then the broker answers 401
    When I POST to /send/create:
      """
      {"id": "1"}
      """
    Then the broker answers 401
    When I PUT to /services/guest with the token "all":
      """
      {"instance": "g1", "port": 5000}
      """
    Then the broker answers 200

  Scenario: a broker in compat mode asks for the same tokens
    Given a broker with these settings:
      | tokens | ["web=w3b"] |
      | compat | true        |
    When I POST to /services:
      """
      []
      """
    Then the broker answers 401
    When I POST to /send/create:
      """
      {"id": "1", "sender": "web"}
      """
    Then the broker answers 401

  Scenario Outline: services listen in the networks of the operator
    Given a broker with these settings:
      | instance_networks | <NETWORKS> |
    When I PUT to /services/users:
      """
      {"instance": "u1", "port": 5000, "host": "<HOST>"}
      """
    Then the broker answers <STATUS>
    When I POST to /services:
      """
      [{"name": "users", "host": "<HOST>", "port": 5000, "receives": ["create"]}]
      """
    Then the broker answers <STATUS>

    Examples:
      | NETWORKS                     | HOST                   | STATUS |
      | ["127.0.0.0/8"]              | 127.0.0.1              | 200    |
      | ["127.0.0.0/8"]              | ::ffff:127.0.0.1       | 200    |
      | ["127.0.0.0/8"]              | users.internal         | 200    |
      | ["127.0.0.0/8"]              | 10.0.0.1               | 403    |
      | ["127.0.0.0/8"]              | 8.8.8.8                | 403    |
      | ["127.0.0.0/8"]              | ::1                    | 403    |
      | ["10.0.0.0/8"]               | 127.0.0.1              | 403    |
      | ["0.0.0.0/0", "::/0"]        | 8.8.8.8                | 200    |
      | ["0.0.0.0/0", "::/0"]        | 169.254.169.254        | 403    |
      | ["0.0.0.0/0", "::/0"]        | ::ffff:169.254.169.254 | 403    |
      | ["0.0.0.0/0", "::/0"]        | fd00:ec2::254          | 403    |

  Scenario: by default, services listen on this machine or in a private network
    Given a broker
    When I PUT to /services/users:
      """
      {"instance": "u1", "port": 5000, "host": "8.8.8.8"}
      """
    Then the broker answers 403
    And the answer is a problem of the kind "forbidden" that says "8.8.8.8 is a public address; broker.instance_networks lists the networks in which services may listen"

  Scenario: a host name is not called if its address is in none of the networks
    Given a broker with these settings:
      | instance_networks  | ["10.0.0.0/8"] |
      | delivery_window_ms | 300            |
    And the service "u1" is running
    When I PUT to /services/users:
      """
      {"instance": "u1", "port": {u1.port}, "host": "localhost", "receives": ["create"]}
      """
    Then the broker answers 200
    When web sends "create" as "1"
    Then the broker answers 200
    And GET /undelivered eventually says "a loopback address; broker.instance_networks lists the networks"
    And "u1" has received nothing
