Feature: Bad input
  Bad input gets a clear refusal, costs nobody else anything, and is never half-accepted.

  Background:
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives "hello,a/b?c#d" --forward {service}` is running

  Scenario Outline: A body that is no message
    When I POST `<body>` to listen/run/hello
    Then I get 400 with the problem "invalid-message" and the words "<words>"

    Examples:
      | body                          | words                          |
      | {"id":                        | the payload is not valid JSON  |
      | {'id':1}                      | the payload is not valid JSON  |
      | "hello"                       | must be a JSON object          |
      | 5                             | must be a JSON object          |
      | {"id":5}                      | "id" must be a string          |
      | {"id":"1","responseTo":[]}    | "responseTo" must be a string  |

  Scenario: A body that is not UTF-8
    When I POST the bytes 7b 22 ff 22 7d to listen/run/hello
    Then I get 400 with the problem "invalid-message" and the words "not UTF-8: invalid byte at position 2"

  Scenario: A body that is nested too deep
    When I POST 100000 opening brackets to listen/run/hello
    Then I get 400 with the problem "invalid-message" and the words "nested deeper than 128 levels"

  Scenario: A body over the limit is answered completely
    When I POST 3000000 bytes of JSON to listen/run/hello
    Then I get 413 with the problem "body-too-large" and the words "over the limit of 1146880 bytes"

  Scenario: A content type that is no JSON
    When I POST `<a/>` to listen/run/hello with the header "content-type: application/xml"
    Then I get 415 with the problem "unsupported-media-type" and the words "expected application/json"

  Scenario Outline: A name that is no message name
    When I POST `{"id":"1"}` to listen/run/<name>
    Then I get 400 with the problem "invalid-message" and the words "<words>"

    Examples:
      | name      | words                 |
      | a%0Ab     | has a control character |
      | %FF       | is not UTF-8          |
      | %00       | has a control character |

  Scenario: A name of ten kilobytes
    When I POST `{"id":"1"}` to listen/run/ and a name of 10000 letters
    Then I get 400 with the problem "invalid-message" and the words "10000 bytes, at most 1024 are allowed"

  Scenario: Slashes, question marks and hashes in a name
    When I POST `{"id":"1"}` to listen/run/a%2Fb%3Fc%23d
    Then I get 200 with an empty body
    And the service gets "a/b?c#d" with no payload
