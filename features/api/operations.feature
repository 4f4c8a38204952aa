Feature: Operations
  A sidecar reports its health, its counters, and what went wrong.

  Scenario: Ready means ready
    Given `exorelay run --role users --bus embedded` is running
    When I GET api/ready
    Then I get 200 with `{"ready":true,"role":"users","bus":"ok","service":"ok","outbox":"ok","inbox":"ok","process":"ok"}`

  Scenario: Alive but not ready while the bus is away
    Given `exorelay run --role users --bus http://127.0.0.1:1` is running
    When I GET api/health
    Then I get 200 with `{"status":"ok"}`
    When I GET api/ready
    Then I get 503 and the words "the bus is unreachable: cannot connect to 127.0.0.1:1"

  Scenario: Not ready while the service is away
    Given `exorelay run --role users --bus embedded --receives hello --forward http://127.0.0.1:1` is running
    When I POST `1` to api/send/hello
    Then api/ready becomes 503 with the words "127.0.0.1:1"

  Scenario: Not ready while messages wait that nobody follows
    Given the setting EXORELAY__RELAY__READY_WAIT_MAX_MS is 100
    And `exorelay run --role users --bus embedded --receives hello` is running
    When I POST `1` to api/send/hello
    Then api/ready becomes 503 with the words "1 messages wait, the oldest, 'hello', for 0 s: no follower of GET /messages takes it"
    When somebody follows api/messages
    Then api/ready becomes 200 with the words "inbox"

  Scenario: Counters
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    And the service gets "hello" with payload `1`
    And I GET api/metrics
    Then I get 200 and the words "exorelay_relay_sent_total 1"
    And I get 200 and the words "exorelay_relay_received_total 1"
    And I get 200 and the words "exorelay_relay_waiters 0"

  Scenario: A dead letter can be tried again
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `{"name":"Will"}` to api/send/hello
    Then there is a dead letter "hello" with the words "400"
    When the service answers every message
    And I POST `` to api/dead-letters/1/replay
    Then I get 202 with an empty body
    And there are no dead letters
    And the service has got "hello" 2 times

  Scenario: A dead letter can be discarded
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "400"
    When I DELETE api/dead-letters/1
    Then I get 204 with an empty body
    And there are no dead letters
    When I DELETE api/dead-letters/1
    Then I get 404 with the problem "not-found" and the words "there is no dead letter 1"

  Scenario: A service of the HTTP era takes the sidecar for its broker
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives users.created --forward {service} --api-envelope exocom` is running
    When I POST `{"sender":"users","id":"111","payload":{"id":456},"responseTo":"100"}` to api/send/users.created
    Then I get 200 with an empty body
    And the service gets "users.created" with payload `{"id":456}`
    And the service gets the id "111"
