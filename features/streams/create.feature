Feature: Creating streams
  A stream is a URL. The request that creates it sets its content type and lifetime; repeating it changes nothing.

  Background:
    Given a streams server

  Scenario: A new stream
    When I create the stream "orders" as application/json
    Then I get 201
    And the header "location" ends with "/v1/stream/orders"
    And the header "stream-next-offset" is "0000000000000000_0000000000000000"
    And reading "orders" gives `[]`

  Scenario: A stream with initial content
    When I create the stream "notes" as text/plain with `hello`
    Then I get 201
    And reading "notes" gives `hello`

  Scenario: Creating the same stream again
    Given the stream "orders" as application/json with `[1,2]`
    When I create the stream "orders" as application/json with `[3]`
    Then I get 200
    And reading "orders" gives `[1,2]`

  Scenario: Creating another stream of the same name
    Given the stream "orders" as application/json
    When I create the stream "orders" as text/plain
    Then I get 409 with the problem "stream-exists" and the words "another content type"

  Scenario: A name that the protocol reserves
    When I create the stream "__ds/mine" as text/plain
    Then I get no stream

  Scenario Outline: A path that is not the only one of its stream, or looks like the server's own
    When I create the stream "<path>" as text/plain
    Then I get 400 with the problem "invalid-request" and the words "<words>"
    When I read "<path>" from the start
    Then I get 400 with the problem "invalid-request"

    Examples:
      | path            | words         |
      | orders/         | empty segment |
      | orders//one     | empty segment |
      | orders%2F       | empty segment |
      | __DS/mine       | __ds          |
      | __Registry__    | __registry__  |
      | __registry__/   | __registry__  |
      | __registry__%20 | __registry__  |

  Scenario: A browser's preflight request
    When a page of "http://localhost:5173" asks whether it may POST to "orders"
    Then the header "access-control-allow-origin" is "http://localhost:5173"
    And the header "access-control-allow-headers" has "if-none-match"

  Scenario: A page may send the headers that its libraries add
    When a page of "http://localhost:5173" asks whether it may POST to "orders" with the headers "traceparent,x-api-key"
    Then the header "access-control-allow-headers" has "if-none-match"
    And the header "access-control-allow-headers" has ", traceparent, x-api-key"
    And the header "vary" has "access-control-request-headers"

  Scenario Outline: The URL of a stream is that which the client used, in front of the proxies
    When I create the stream "orders" with the header "<HEADER>"
    Then the header "location" is "<LOCATION>"

    Examples:
      | HEADER                                                      | LOCATION                                  |
      | forwarded: proto=https;host="streams.example:8443", for=::1 | https://streams.example:8443/v1/stream/orders |
      | x-forwarded-host: streams.example, middle                   | http://streams.example/v1/stream/orders   |

  Scenario: Deleting a stream and using its name again
    Given the stream "orders" as text/plain with `old`
    When I delete "orders"
    Then I get 204
    When I create the stream "orders" as text/plain
    Then I get 201
    And reading "orders" gives ``
