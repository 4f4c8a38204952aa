Feature: What a service of any language can do
  A service beside its sidecar handles messages, answers them, and sends its own: with plain HTTP and no library.

  Scenario: It is pinged
    Given a service that answers "ping" with "pong" and `null`
    And `exorelay broker` is running
    And `exorelay run --role pinger --bus {broker} --receives ping --forward {service}` is running as "pinger"
    And `exorelay run --role web --bus {broker} --receives pong` is running as "web"
    And somebody follows api/messages
    When I POST `` to api/send/ping
    Then the follower gets "pong" with the payload `null`

  Scenario: It greets
    Given a service that answers "greet" with "greeting" and `"Hello world"`
    And `exorelay run --role greeter --bus embedded --receives greet --forward {service}` is running
    When I POST `{"name":"world"}` to api/request/greet
    Then I get 200 with `"Hello world"`
    And the answer has the header "exo-message: greeting"

  Scenario: It is sent something that nobody in it knows
    Given `exorelay run --role greeter --bus embedded` is running
    When I POST `{"id":"1"}` to listen/run/zonk
    Then I get 404 with `unknown message: 'zonk'`

  Scenario: It sends a message of its own
    Given a service that answers every message
    And `exorelay run --role sender --bus embedded --receives greetings --forward {service}` is running
    When I POST `"from the sender service"` to api/send/greetings
    Then the service gets "greetings" with payload `"from the sender service"`

  Scenario: Its sidecar listens on the configured port
    Given `exorelay run --role greeter --bus embedded --listen 127.0.0.1:0` is running
    When I GET listen/status
    Then I get 200 with an empty body
