Feature: A request that fails is answered at once
  The caller gets 502 or 503 with the reason as soon as it is known, not 504 after its timeout.

  Scenario Outline: The service cannot handle the request
    Given a service that <answers>
    And `exorelay run --role users --bus embedded --receives users.create --forward {service}` is running
    When I POST `1` to api/request/users.create?timeout=20s
    Then I get 502 with the problem "failed" and the words "'users' could not handle users.create: "
    And I get 502 and the words "<words>"
    And I get 502 and the words ""name":"users.create","role":"users","reason":""

    Examples:
      | answers                                             | words               |
      | answers 400 to every message                        | 400                 |
      | answers 422 to every message                        | 422                 |
      | answers with the body `{"reply":{"payload":1}}`     | name                |
      | redirects to "http://127.0.0.1:1/"                  | redirect            |

  Scenario Outline: The service goes on failing
    Given a service that answers <status> to every message
    And `exorelay run --role users --bus embedded --receives users.create --forward {service}` is running
    When I POST `1` to api/request/users.create?timeout=3s
    Then I get 502 with the problem "failed" and the words "the service answered <status>"

    Examples:
      | status |
      | 500    |
      | 503    |

  Scenario: The bus cannot be reached
    Given `exorelay run --role web --bus http://127.0.0.1:1` is running
    When I POST `1` to api/request/users.create?timeout=20s
    Then I get 503 with the problem "busy" and the words "the bus is unreachable: cannot connect to 127.0.0.1:1"
    And the answer has a header "retry-after"

  Scenario: No follower acknowledges the request
    Given the setting EXORELAY__RELAY__SUBSCRIBER_LEASE_MS is 100
    And the setting EXORELAY__RELAY__SUBSCRIBER_DELIVERIES_MAX is 1
    And `exorelay run --role users --bus embedded --receives users.create` is running
    And somebody follows api/messages
    When I POST `1` to api/request/users.create?timeout=20s
    Then I get 502 with the problem "failed" and the words "not acknowledged after 1 delivery"
