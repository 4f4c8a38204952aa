Feature: Sidecars over WebSockets
  `--bus ws://…` is all it takes to use one connection instead of calls both ways.

  Background:
    Given a service that answers "users.create" with "users.created" and `{"id":456}`
    And `exorelay broker` is running
    And `exorelay run --role users --bus ws://{broker.address} --receives users.create --forward {service}` is running as "users"

  Scenario: A request goes there and back
    Given `exorelay run --role web --bus ws://{broker.address}` is running as "web"
    When I POST `{"name":"Will"}` to api/request/users.create
    Then I get 200 with `{"id":456}`
    And the service gets "users.create" with payload `{"name":"Will"}`

  Scenario: A sidecar over HTTP reaches one over a WebSocket
    Given `exorelay run --role web --bus {broker}` is running as "web"
    When I POST `{"name":"Will"}` to api/request/users.create
    Then I get 200 with `{"id":456}`

  Scenario: Nobody receives it
    Given `exorelay run --role web --bus ws://{broker.address}` is running as "web"
    When I POST `1` to api/request/zonk
    Then I get 404 with the problem "no-receivers" and the words "no service receives 'zonk'"

  Scenario: A killed broker is noticed, and everybody is back when it is
    Given `exorelay run --role web --bus ws://{broker.address}` is running as "web"
    When the broker is killed and started again
    And I POST `{"name":"Will"}` to api/request/users.create, and again while it is refused as unavailable
    Then I get 200 with `{"id":456}`

  Scenario: A sidecar that stops leaves at once
    When "users" gets SIGTERM
    Then "users" ends with status 0
    And the broker knows no instance of "users"

  Scenario: A role that asks for a token
    Given the setting EXORELAY__BROKER__TOKENS is pay=s3cret
    And `exorelay broker` is running
    And the setting EXORELAY__BUS__TOKEN is s3cret
    And `exorelay run --role pay --bus ws://{broker.address} --receives pay --forward {service}` is running as "pay"
    When I POST `1` to api/send/pay
    Then I get 202 with an id and an activity id
    And the service gets "pay" with payload `1`

  Scenario: A role that asks for a token, and a sidecar without one
    Given the setting EXORELAY__BROKER__TOKENS is pay=s3cret
    And `exorelay broker` is running
    And `exorelay run --role pay --bus ws://{broker.address}` is running
    Then api/ready becomes 503 with the words "the broker refused the registration: the role"

  Scenario: A role that asks for a token, over HTTP
    Given the setting EXORELAY__BROKER__TOKENS is pay=s3cret
    And `exorelay broker` is running
    And the setting EXORELAY__BUS__TOKEN is s3cret
    And `exorelay run --role pay --bus {broker} --receives pay --forward {service}` is running as "pay"
    When I POST `1` to api/send/pay
    Then the service gets "pay" with payload `1`
