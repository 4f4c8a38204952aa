Feature: Bodies in a coding
  A body that is compressed is decoded, by every listener, within the limit of bodies. A coding that cannot be undone is refused.

  Background:
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --broker 127.0.0.1:0 --edge 127.0.0.1:0 --receives hello --forward {service}` is running

  Scenario Outline: A compressed payload arrives as it was before
    When I POST `{"name":"Will"}` to api/send/hello in the coding "<CODING>"
    Then I get 202 with an id and an activity id
    And the service gets "hello" with payload `{"name":"Will"}`

    Examples:
      | CODING     |
      | gzip       |
      | deflate    |
      | zstd       |
      | gzip, zstd |
      | identity   |

  Scenario: A transfer coding
    When I POST `{"name":"Will"}` to api/send/hello in the transfer coding "gzip"
    Then I get 202 with an id and an activity id
    And the service gets "hello" with payload `{"name":"Will"}`

  Scenario Outline: Every listener decodes
    When I <METHOD> `<BODY>` to <PLACE> in the coding "gzip"
    Then I get <STATUS> with an empty body

    Examples:
      | METHOD | PLACE             | BODY                              | STATUS |
      | POST   | listen/run/hello  | {"id":"1","payload":1}            | 200    |
      | POST   | broker/send/hello | {"id":"1","sender":"a","payload":1} | 200  |

  Scenario: A stream has the content, not its coding
    When I PUT `decoded` to edge/v1/stream/a in the coding "zstd"
    And I GET edge/v1/stream/a
    Then I get 200 with `decoded`

  Scenario Outline: What cannot be decoded is refused
    When I POST `1` to <PLACE> in the coding "<CODING>"
    Then I get 415 with the problem "unsupported-coding" and the words "expected one of gzip, deflate, zstd"
    And the answer has the header "accept-encoding: gzip, deflate, zstd"

    Examples:
      | PLACE             | CODING   |
      | api/send/hello    | br       |
      | api/request/hello | compress |
      | listen/run/hello  | br       |
      | broker/send/hello | br       |

  Scenario: A stream whose content cannot be decoded is not created
    When I PUT `1` to edge/v1/stream/a in the coding "br"
    Then I get 415 with the problem "unsupported-coding" and the words "expected one of gzip, deflate, zstd"
    When I GET edge/v1/stream/a
    Then I get 404 with the problem "not-found" and the words "there is no stream a"

  Scenario: What is not of its coding is refused
    When I POST `1` to api/send/hello with the header "content-encoding: gzip"
    Then I get 400 with the problem "invalid-message" and the words "the body is not valid gzip"

  Scenario Outline: A small body that becomes a large one is refused
    When I POST 20000000 blanks to api/send/hello in the coding "<CODING>"
    Then I get 413 with the problem "body-too-large" and the words "the limit of 1048576 bytes"

    Examples:
      | CODING  |
      | gzip    |
      | deflate |
      | zstd    |
