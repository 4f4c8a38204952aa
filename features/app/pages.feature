Feature: Web pages and other hosts
  A browser sends what any page asks for, from the machine of its user, also to ports that are on loopback. A listener answers
  pages of the origins that its `cors_origins` lists, and on loopback only under the names of this machine. Programs notice
  nothing of it.

  Scenario Outline: A page of another origin does nothing
    Given `exorelay dev --broker 127.0.0.1:0` is running
    When a page of "<ORIGIN>" sends `<REQUEST>` with `<BODY>` as <TYPE>
    Then I get 403 with the problem "forbidden" and the words "list the origin in <SETTING>"

    Examples:
      | ORIGIN                | REQUEST                 | BODY             | TYPE                              | SETTING              |
      | http://evil.example   | POST api/send/hello     | {}               | text/plain                        | api.cors_origins     |
      | http://localhost:3000 | POST api/send/hello     | {}               | application/json                  | api.cors_origins     |
      | null                  | POST api/request/hello  | {"name":"world"} | application/x-www-form-urlencoded | api.cors_origins     |
      | https://evil.example  | GET api/messages        |                  | text/plain                        | api.cors_origins     |
      | https://evil.example  | GET api/dead-letters    |                  | text/plain                        | api.cors_origins     |
      | http://evil.example   | POST broker/services    | []               | text/plain                        | broker.cors_origins  |
      | null                  | POST broker/services    | []               | multipart/form-data               | broker.cors_origins  |
      | http://evil.example   | POST broker/send/hello  | {"id":"1"}       | text/plain                        | broker.cors_origins  |
      | http://evil.example   | GET broker/traffic      |                  | text/plain                        | broker.cors_origins  |
      | http://evil.example   | PUT edge/v1/stream/a    | evil             | text/plain                        | streams.cors_origins |
      | http://evil.example   | POST edge/v1/stream/a   | evil             | text/plain                        | streams.cors_origins |
      | null                  | DELETE edge/v1/stream/a |                  | text/plain                        | streams.cors_origins |

  Scenario: The port that the broker delivers to
    Given `exorelay run --role web --bus embedded` is running
    When a page of "http://evil.example" sends `POST listen/run/hello` with `{"id":"1"}` as text/plain
    Then I get 403 with the problem "forbidden" and the words "list the origin in listen.cors_origins"

  Scenario: A page that asks first gets no permission
    Given `exorelay dev --broker 127.0.0.1:0` is running
    When a page of "http://evil.example" asks whether it may send `POST api/send/hello`
    Then I get 403 with the problem "forbidden" and the words "api.cors_origins"
    When a page of "http://evil.example" asks whether it may send `POST edge/v1/stream/a`
    Then the answer has no header "access-control-allow-origin"

  Scenario: A page of an origin that is listed
    Given the setting EXORELAY__API__CORS_ORIGINS is https://app.example,http://localhost:3000
    And `exorelay dev --broker 127.0.0.1:0` is running
    When a page of "https://app.example" asks whether it may send `POST api/request/hello`
    Then I get 204 with an empty body
    And the answer has the header "access-control-allow-origin: https://app.example"
    When a page of "https://app.example" sends `POST api/request/hello` with `{"name":"world"}` as application/json
    Then I get 200 and the words "world"
    And the answer has the header "access-control-allow-origin: https://app.example"
    When a page of "http://localhost:3001" sends `POST api/send/hello` with `{}` as application/json
    Then I get 403 with the problem "forbidden"

  Scenario Outline: What a page sends without asking first is not JSON
    Given the setting EXORELAY__API__CORS_ORIGINS is https://app.example
    And the setting EXORELAY__BROKER__CORS_ORIGINS is https://app.example
    And `exorelay dev --broker 127.0.0.1:0` is running
    When a page of "https://app.example" sends `POST <PLACE>` with `{"id":"1"}` as <TYPE>
    Then I get 415 with the problem "unsupported-media-type" and the words "expected application/json"

    Examples:
      | PLACE              | TYPE                              |
      | api/send/hello     | text/plain                        |
      | api/send/hello     | application/x-www-form-urlencoded |
      | broker/send/hello  | text/plain;charset=UTF-8          |
      | broker/services    | application/x-www-form-urlencoded |

  Scenario: A program may send text as before
    Given `exorelay dev --broker 127.0.0.1:0` is running
    When I POST `{"name":"world"}` to api/request/hello with the header "content-type: application/x-www-form-urlencoded"
    Then I get 200 and the words "world"

  Scenario: Pages on this machine may use the streams
    Given `exorelay streams` is running
    When a page of "http://localhost:5173" sends `PUT streams/v1/stream/notes` with `hello` as text/plain
    Then I get 201 with an empty body
    And the answer has the header "access-control-allow-origin: http://localhost:5173"
    When a page of "http://127.0.0.1:8080" asks whether it may send `POST streams/v1/stream/notes`
    Then I get 204 with an empty body
    And the answer has the header "access-control-allow-origin: http://127.0.0.1:8080"
    When a page of "http://localhost.evil.example" sends `POST streams/v1/stream/notes` with `evil` as text/plain
    Then I get 403 with the problem "forbidden"
    When I GET streams/v1/stream/notes
    Then I get 200 with `hello`

  Scenario: Streams for pages everywhere
    Given the setting EXORELAY__STREAMS__CORS_ORIGINS is *
    And `exorelay streams` is running
    When a page of "https://app.example" sends `PUT streams/v1/stream/notes` with `hello` as text/plain
    Then I get 201 with an empty body
    And the answer has the header "access-control-allow-origin: *"

  Scenario: A page that comes from the listener itself
    Given `exorelay dev --broker 127.0.0.1:0` is running
    When the page of the listener itself sends `POST api/request/hello` with `{"name":"world"}` as application/json
    Then I get 200 and the words "world"

  Scenario: A socket is for origins that are listed
    Given the setting EXORELAY__BROKER__CORS_ORIGINS is https://app.example
    And `exorelay broker` is running
    When a page of "http://evil.example" opens a socket at broker/services
    Then I get 403 with the problem "forbidden" and the words "list the origin in broker.cors_origins"
    When a page of "http://localhost:3000" opens a socket at broker/services
    Then I get 403 with the problem "forbidden"
    When a page of "https://app.example" opens a socket at broker/services
    Then I get 101 with an empty body

  Scenario: A link shows a page, and nothing else happens
    Given `exorelay dev --broker 127.0.0.1:0` is running
    When a person follows a link to api/ from a page of another site
    Then I get 200 and the words "ExoRelay"
    When a person follows a link to edge/v1/stream/__registry__ from a page of another site
    Then I get 200 and the words "__registry__"
    When a person follows a link to api/messages from a page of another site
    Then I get 403 with the problem "forbidden" and the words "api.cors_origins"
    When a page of another site embeds api/health
    Then I get 403 with the problem "forbidden"

  Scenario Outline: A name that a stranger made lead here
    Given `exorelay dev --broker 127.0.0.1:0 --ops 127.0.0.1:0` is running
    When a client sends `<REQUEST>` to the host "<HOST>"
    Then I get 403 with the problem "forbidden" and the words "list further hosts in http.hosts"

    Examples:
      | REQUEST                    | HOST                        |
      | GET api/dead-letters       | evil.example:4001           |
      | GET broker/traffic         | localhost.evil.example      |
      | GET edge/v1/stream/a       | 127.0.0.1.evil.example:4002 |
      | POST api/send/hello        | 10.0.0.7:4001               |
      | GET api/messages           | 0.0.0.0:4001                |
      | GET broker/services        | [2001:db8::1]:3100          |

  Scenario Outline: The names of this machine
    Given `exorelay streams` is running
    When a client sends `GET streams/health` to the host "<HOST>"
    Then I get 200 and the words "ok"

    Examples:
      | HOST               |
      | localhost:4437     |
      | LOCALHOST          |
      | streams.localhost  |
      | 127.0.0.1          |
      | [::1]:4437         |

  Scenario: Further hosts
    Given the setting EXORELAY__HTTP__HOSTS is relay.internal
    And `exorelay streams` is running
    When a client sends `GET streams/health` to the host "relay.internal:8080"
    Then I get 200 and the words "ok"
    When a client sends `GET streams/health` to the host "evil.example"
    Then I get 403 with the problem "forbidden"

  Scenario: On other addresses hosts are checked if some are listed
    Given `exorelay streams --listen 0.0.0.0:0 --public-url https://streams.example --insecure` is running
    When a client sends `GET streams/health` to the host "streams:4437"
    Then I get 200 and the words "ok"
    Given the setting EXORELAY__HTTP__HOSTS is relay.internal
    And `exorelay streams --listen 0.0.0.0:0 --public-url https://streams.example --insecure` is running
    When a client sends `GET streams/health` to the host "streams:4437"
    Then I get 403 with the problem "forbidden" and the words "the hosts in http.hosts"
    When a client sends `GET streams/health` to the host "relay.internal"
    Then I get 200 and the words "ok"
