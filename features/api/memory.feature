Feature: Messages that wait are bounded in bytes
  Whatever somebody sends, the process stays small. What does not fit is refused with 503 and the time to try again, and the
  reason names the setting.

  Scenario: The bus is away, and the outbox is full
    Given the setting EXORELAY__RELAY__OUTBOX_BYTES_MAX is 5000
    And `exorelay run --role web --bus http://127.0.0.1:1` is running
    When I POST `"a message"` to api/send/hello until it is refused
    Then I get 503 with the problem "busy" and the words "the outbox in bytes (relay.outbox_bytes_max) is full (limit 5000)"
    And the answer has a header "retry-after"

  Scenario: The queues of the process are full
    Given the setting EXORELAY__MEMORY__QUEUES_BYTES_MAX is 5000
    And `exorelay run --role web --bus http://127.0.0.1:1` is running
    When I POST `"a message"` to api/send/hello until it is refused
    Then I get 503 with the problem "busy" and the words "memory.queues_bytes_max"
    And the answer has a header "retry-after"

  Scenario: Dead letters are listed in pages
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello 3 times
    Then the service has got "hello" 3 times
    And there is a dead letter "hello" with the words "400"
    When I GET api/dead-letters?limit=1
    Then I get 200 and the words ""id":1"
    And the answer has the header "link: </dead-letters?limit=1&after=1>; rel="next""
    When I GET api/dead-letters?limit=1&after=1
    Then I get 200 and the words ""id":2"
    When I GET api/dead-letters?after=3
    Then I get 200 with `[]`
    When I GET api/dead-letters?limit=0
    Then I get 400 with the problem "invalid-request" and the words "expected a number from 1 to 1000"
    When I GET api/dead-letters?limit=soon
    Then I get 400 with the problem "invalid-request"
