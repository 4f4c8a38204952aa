Feature: Requests that stay open
  A request keeps its way back for as long as its own timeout, whatever else passes through the broker.

  Background:
    Given a service that answers "report.make" with "report.made" and `{"pages":3}` after 1500 ms

  Scenario: Many other messages pass before the reply
    Given the setting EXORELAY__BROKER__CONVERSATIONS_MAX is 8
    And `exorelay broker` is running
    And `exorelay run --role reports --receives report.make --forward {service} --bus {broker}` is running as "reports"
    And `exorelay run --role log --receives tick --bus {broker}` is running as "log"
    And `exorelay run --role web --bus {broker}` is running as "web"
    And a request of "report.make" is waiting at the api
    When I POST `1` to api/send/tick 100 times
    Then the waiting request gets 200 with `{"pages":3}`

  Scenario: The reply takes longer than idle conversations are remembered
    Given the setting EXORELAY__BROKER__CONVERSATION_IDLE_MS is 300
    And `exorelay broker` is running
    And `exorelay run --role reports --receives report.make --forward {service} --bus {broker}` is running as "reports"
    And `exorelay run --role web --bus {broker}` is running as "web"
    And a request of "report.make" with a timeout of 90s is waiting at the api
    Then the waiting request gets 200 with `{"pages":3}`

  Scenario: At the limit of open requests, a new one is refused and the others are answered
    Given the setting EXORELAY__BROKER__OPEN_REQUESTS_MAX is 1
    And `exorelay broker` is running
    And `exorelay run --role reports --receives report.make --forward {service} --bus {broker}` is running as "reports"
    And `exorelay run --role web --bus {broker}` is running as "web"
    And a request of "report.make" is waiting at the api
    When I POST `1` to api/request/report.make
    Then I get 503 with the problem "busy"
    And the waiting request gets 200 with `{"pages":3}`

  Scenario: The reply passes everything else that waits for its requester
    Given the setting EXORELAY__RELAY__INBOX_MESSAGES_MAX is 4
    And the setting EXORELAY__BROKER__QUEUE_MESSAGES_MAX is 16
    And `exorelay dev --broker 127.0.0.1:0` is running
    When I POST `{"name":"world"}` to api/send/hello 100 times
    And I POST `{"name":"world"}` to api/request/hello
    Then I get 200 with `{"text":"Hello, world!"}`
