Feature: Delivery to a sidecar
  The bus-facing listener takes messages at POST /run/{message}, in the body and with the answers of the HTTP era.

  Background:
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives "hello,mongo create" --forward {service}` is running

  Scenario: The listener is alive
    When I GET listen/status
    Then I get 200 with an empty body

  Scenario Outline: A message is accepted
    When I POST `<body>` to listen/run/hello
    Then I get 200 with an empty body
    And the service gets "hello" with <payload>

    Examples:
      | body                                     | payload               |
      | {"id":"1"}                               | no payload            |
      | {"id":"1","payload":"text"}              | payload `"text"`      |
      | {"id":"1","payload":{"name":"Will"}}     | payload `{"name":"Will"}` |
      | {"id":"1","payload":[1,2]}               | payload `[1,2]`       |
      | {"id":"1","sender":"web","more":true}    | no payload            |

  Scenario: The name is URL-decoded, and a slash at its end does not count
    When I POST `{"id":"1"}` to listen/run/mongo%20create/
    Then I get 200 with an empty body
    And the service gets "mongo create" with no payload

  Scenario Outline: A message without id
    When I POST `<body>` to listen/run/hello
    Then I get 400 with `missing message id`

    Examples:
      | body              |
      | {"payload":"x"}   |
      | {"id":""}         |
      | {}                |
      |                   |

  Scenario: A path without a message
    When I POST `{"id":"1"}` to listen/run
    Then I get 404 with the problem "not-found"

  Scenario: Any other path
    When I GET listen/run/hello
    Then I get 404 with the problem "not-found"

  Scenario: The same message twice is answered twice and handled once
    When I POST `{"id":"1"}` to listen/run/hello
    And I POST `{"id":"1"}` to listen/run/hello
    And I POST `{"id":"2"}` to listen/run/hello
    Then I get 200 with an empty body
    And the service has got "hello" 2 times once message "2" is there

  Scenario: Two senders use the same id
    When I POST `{"id":"1","sender":"web"}` to listen/run/hello
    And I POST `{"id":"1","sender":"mobile"}` to listen/run/hello
    And I POST `{"id":"1","sender":"mobile"}` to listen/run/hello
    And I POST `{"id":"2"}` to listen/run/hello
    Then I get 200 with an empty body
    And the service has got "hello" 3 times once message "2" is there
    And the metric "exorelay_relay_duplicates_total" of the sidecar becomes 1
    And the metric "exorelay_relay_reused_ids_total" of the sidecar becomes 0

  Scenario: A sender uses an id again for another message
    When I POST `{"id":"1","sender":"web","payload":1}` to listen/run/hello
    And I POST `{"id":"1","sender":"web","payload":2}` to listen/run/hello
    And I POST `{"id":"1","sender":"web","payload":2}` to listen/run/hello
    And I POST `{"id":"2"}` to listen/run/hello
    Then I get 200 with an empty body
    And the service has got "hello" 3 times once message "2" is there
    And the metric "exorelay_relay_duplicates_total" of the sidecar becomes 1
    And the metric "exorelay_relay_reused_ids_total" of the sidecar becomes 1
    And the log of the sidecar says once "under the id 1 of another message"

  Scenario: Several messages at once, from our own broker
    When I POST `[{"id":"1","name":"hello"},{"name":"hello"},{"id":"2","name":"hello"}]` to listen/run
    Then I get 200 with `[{"status":200},{"status":400,"detail":"missing message id"},{"status":200}]`

  Scenario: A trace is passed on
    When I POST `{"id":"1"}` to listen/run/hello with the header "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    Then the service gets the header "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
