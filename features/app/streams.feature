Feature: Streams in a shell
  The commands of `exorelay stream` work with any server of Durable Streams.

  Background:
    Given `exorelay streams` is running

  Scenario: Writing, following and closing
    When I run `exorelay stream create orders --type application/json --url http://{streams}/v1/stream`
    Then "run" ends with status 0
    When I run `exorelay stream append orders [1,2] --url http://{streams}/v1/stream`
    Then "run" ends with status 0
    When I follow the stream "orders"
    Then "follow" prints "2"
    When I run `exorelay stream append orders 3 --url http://{streams}/v1/stream`
    Then "follow" prints "3"
    When I run `exorelay stream close orders --url http://{streams}/v1/stream`
    Then "follow" ends with status 0

  Scenario: Which streams there are
    When I run `exorelay stream create orders --type application/json --url http://{streams}/v1/stream`
    Then "run" ends with status 0
    When I run `exorelay stream ls --url http://{streams}/v1/stream`
    Then "run" prints "orders        application/json"
