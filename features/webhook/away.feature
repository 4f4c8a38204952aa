Feature: A service that does not answer
  A sidecar notices that its service refuses connections, hangs or is replaced by a gateway that answers 503. It reports
  that, gets nothing new while another instance of the role answers, and gives back what waits. It notices as soon as the
  service answers again.

  Scenario: Another instance takes over from a service that is down
    Given a service that answers "ping" with "pong" and `1`
    And `exorelay broker` is running
    And `exorelay run --role users --bus {broker} --receives ping --forward http://127.0.0.1:9` is running as "dead"
    And `exorelay run --role users --bus {broker} --receives ping --forward {service}` is running as "healthy"
    And `exorelay run --role web --bus {broker}` is running as "web"
    When 10 requests of "ping" are made at the same time
    Then all of them get 200 with `1`
    When 10 requests of "ping" are made at the same time
    Then all of them get 200 with `1`

  Scenario Outline: A sidecar says that its service is away
    Given the setting EXORELAY__WEBHOOK__HANG_MS is 200
    And a service that <DOES>
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then api/ready becomes 503 with the words "is not responding"
    And the metric "exorelay_webhook_away" of the sidecar becomes 1
    When the service answers every message
    Then api/ready becomes 200 with the words "ok"
    And the metric "exorelay_webhook_away" of the sidecar becomes 0

    Examples:
      | DOES                         |
      | hangs                        |
      | answers 503 to every message |

  Scenario: A service that comes up is called at once
    Given the setting EXORELAY__WEBHOOK__BREAKER_FAILURES is 1
    And the setting EXORELAY__WEBHOOK__BREAKER_OPEN_MS is 60000
    And the setting EXORELAY__WEBHOOK__BREAKER_OPEN_MAX_MS is 60000
    And a service that is not up yet
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then api/ready becomes 503 with the words "is not responding"
    When the service comes up
    Then the service gets "hello" with payload `1`

  Scenario: A service that hung is called again at once
    Given the setting EXORELAY__WEBHOOK__BREAKER_FAILURES is 1
    And the setting EXORELAY__WEBHOOK__BREAKER_OPEN_MS is 60000
    And the setting EXORELAY__WEBHOOK__BREAKER_OPEN_MAX_MS is 60000
    And the setting EXORELAY__WEBHOOK__TIMEOUT_MS is 300
    And a service that hangs
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then api/ready becomes 503 with the words "is not responding"
    When the service answers every message
    Then the service has got "hello" 2 times
    And there are no dead letters

  Scenario: A sidecar says at once that its service fails, once for many failures, and that it does not any more
    Given the setting EXORELAY__WEBHOOK__RETRY_WAIT_MAX_MS is 20
    And the setting EXORELAY__WEBHOOK__BREAKER_FAILURES is 0
    And a service that answers 500 to the first 9 messages
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then the log of the sidecar says once ""failures":1,"cause":"the service answered 500"
    And the service has got "hello" 10 times
    And the log of the sidecar says once ""name":"hello","failures":9"
    And the log of the sidecar says once "the service fails to handle messages, retrying"
