Feature: A port in a browser
  A person who opens a port in a browser learns what it is, what to try, and where the guide is. Programs get the same as text.

  Background:
    Given `exorelay dev --broker 127.0.0.1:0` is running

  Scenario Outline: Each port introduces itself
    When I open <PORT>/ in a browser
    Then I get 200 and the words "ExoRelay, <TITLE>"
    And I get 200 and the words "href="/guide""
    And I get 200 and the words "href="<LINK>""
    And the answer has the header "content-type: text/html; charset=utf-8"

    Examples:
      | PORT   | TITLE                        | LINK                     |
      | api    | the api of the sidecar of dev | /openapi.json            |
      | broker | the message broker           | /config.json             |
      | edge   | for browsers and other clients | /v1/stream/__registry__  |

  Scenario: The links of the edge work on a fresh server
    When I open edge/v1/stream/__registry__ in a browser
    Then I get 200 and the words "__registry__"

  Scenario: A program gets text
    When I GET api/
    Then I get 200 and the words "curl -d"
    And the answer has the header "content-type: text/plain; charset=utf-8"

  Scenario: The guide comes with the program
    When I open edge/guide in a browser
    Then I get 200 and the words "/guide/streams.md"
    When I GET edge/guide/streams.md
    Then I get 200 and the words "Durable"

  Scenario: The bus-facing port of a sidecar
    Given `exorelay run --role web --bus {broker} --listen 127.0.0.1:0` is running as "web"
    When I open listen/ in a browser
    Then I get 200 and the words "the bus-facing listener"

  Scenario: Streams alone
    Given `exorelay streams --listen 127.0.0.1:0` is running
    When I open streams/ in a browser
    Then I get 200 and the words "Durable Streams"

  Scenario: Anything else is an error as before
    When I GET api/zonk
    Then I get 404 with the problem "not-found" and the words "cannot GET /zonk"
