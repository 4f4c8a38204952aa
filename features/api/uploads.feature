Feature: Clients that are still sending
  A call that is refused is answered at once. A client that still sends a large body gets that answer, and no reset.

  Background:
    Given `exorelay run --role users --bus embedded --broker 127.0.0.1:0 --edge 127.0.0.1:0` is running

  Scenario Outline: A refusal arrives while the client still uploads
    When a client sends 3000000 bytes with `<CALL>`, and reads only then
    Then I get <STATUS> and the words "<WORDS>"

    Examples:
      | CALL                          | STATUS | WORDS              |
      | POST api/no                   | 404    | not-found          |
      | POST api/health               | 405    | method-not-allowed |
      | PUT api/send/hello            | 405    | method-not-allowed |
      | POST api/send/hello           | 413    | body-too-large     |
      | POST api/send/%00             | 400    | control character  |
      | POST api/request/a?timeout=no | 400    | invalid-request    |
      | DELETE api/dead-letters/7     | 404    | not-found          |
      | GET api/health                | 200    | ok                 |
      | POST listen/no                | 404    | not-found          |
      | POST listen/run/hello         | 413    | body-too-large     |
      | GET listen/run/hello          | 404    | not-found          |
      | POST broker/no                | 404    | not-found          |
      | PUT broker/send/hello         | 405    | method-not-allowed |
      | PUT broker/services/users     | 413    | body-too-large     |
      | DELETE broker/services/users  | 400    | invalid-request    |
      | POST edge/no                  | 404    | not-found          |
      | POST edge/health              | 405    | method-not-allowed |
      | POST edge/v1/stream/no        | 404    | not-found          |
      | PATCH edge/v1/stream/no       | 405    | method-not-allowed |
      | GET edge/v1/stream/no         | 404    | not-found          |
      | PUT edge/v1/stream/%zz        | 400    | invalid-request    |
      | PUT edge/v1/stream/__ds/no    | 404    | does not exist     |
      | PUT edge/v1/stream/__ds/subscriptions/a | 413 | BODY_TOO_LARGE |

  Scenario Outline: Refused because of a header
    When a client sends 3000000 bytes with `<CALL>` and the header "<HEADER>", and reads only then
    Then I get <STATUS> and the words "<WORDS>"

    Examples:
      | CALL                    | HEADER                        | STATUS | WORDS                  |
      | POST api/send/hello     | content-type: application/xml | 415    | unsupported-media-type |
      | POST listen/run/hello   | content-type: application/xml | 415    | unsupported-media-type |
      | POST broker/send/hello  | content-type: application/xml | 415    | unsupported-media-type |
      | POST api/send/hello     | content-encoding: br          | 415    | unsupported-coding     |
      | PUT edge/v1/stream/a    | content-encoding: br          | 415    | unsupported-coding     |
      | PUT edge/v1/stream/a    | stream-ttl: -1                | 400    | invalid-request        |
      | GET broker/services     | upgrade: websocket            | 400    | invalid-request        |
      | POST api/send/hello     | host: another                 | 400    | more than once         |

  Scenario: A client that closes its side still gets its answer
    Given a service that answers "ping" with "pong" and `"late"` after 300 ms
    And `exorelay run --role users --bus embedded --receives ping --forward {service}` is running
    When a client sends `POST api/request/ping` with `1`, closes its side, and reads only then
    Then I get 200 with `"late"`

  Scenario Outline: A request for no host, or for two
    When a client sends `GET <PLACE>` with the header lines <LINES>
    Then I get 400 with the problem "invalid-request" and the words "<WORDS>"

    Examples:
      | PLACE         | LINES                  | WORDS                    |
      | api/health    | "x: y"                 | Host is missing          |
      | api/health    | "host: a" and "host: b" | Host occurs more than once |
      | listen/status | "host: a" and "host: a" | Host occurs more than once |
      | broker/health | "host: user@a"         | Host is not a host name  |
