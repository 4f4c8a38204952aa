Feature: Nobody gets in who does not belong
  Tokens and JWTs say who is calling, and the rules of exorelay.toml say who may do what. Without either, everyone on this
  machine may do everything.

  Rule: Rules at a sidecar

    Background:
      Given the file "exorelay.toml":
        """
        [[access.tokens]]
        name = "web"
        token = "s3cret-of-web"
        roles = ["web"]

        [[access.tokens]]
        name = "ops"
        token = "sha256:1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0"

        [[access.rules]]
        who = "token:ops"
        allow = ["administration"]

        [[access.rules]]
        who = "role:web"
        allow = ["send:users.*", "request:users.*", "receive:users.*"]
        deny = ["send:users.delete"]

        [[access.rules]]
        who = "anyone"
        allow = ["send:ping"]
        """
      And `exorelay run --role web --bus embedded --config {folder}/exorelay.toml` is running

    Scenario: A caller without a token may do only what everyone may
      When I POST `1` to api/send/ping
      Then I get 404 with the problem "no-receivers"
      When I POST `1` to api/send/users.create
      Then I get 401 with the problem "unauthenticated" and the words "send:users.create is not for everyone"
      And the answer has the header "www-authenticate: Bearer"
      When I GET api/messages
      Then I get 401 with the problem "unauthenticated" and the words "receive:** is not for everyone"

    Scenario: A token may do what its role may, and nothing else
      When I POST `1` to api/send/users.create with the header "authorization: Bearer s3cret-of-web"
      Then I get 404 with the problem "no-receivers"
      When I POST `1` to api/send/users.delete with the header "authorization: Bearer s3cret-of-web"
      Then I get 403 with the problem "forbidden" and the words "token:web may not send:users.delete: rule 2 denies it"
      When I POST `1` to api/send/orders.create with the header "authorization: Bearer s3cret-of-web"
      Then I get 403 with the problem "forbidden" and the words "token:web may not send:orders.create: no rule allows it"
      When I GET api/dead-letters with the header "authorization: Bearer s3cret-of-web"
      Then I get 403 with the problem "forbidden" and the words "dead-letters"

    Scenario: A token that is not known is refused, whatever everyone may
      When I POST `1` to api/send/ping with the header "authorization: Bearer guessed"
      Then I get 401 with the problem "unauthenticated" and the words "the token is not known"

    Scenario: A token is kept as its hash
      When I GET api/dead-letters with the header "authorization: Bearer s3cret"
      Then I get 200 with `[]`

    Scenario: Refusals are logged once and counted
      When I POST `1` to api/send/users.create
      And I POST `1` to api/send/users.create
      And I POST `1` to api/send/users.create with the header "authorization: Bearer s3cret-of-nobody"
      Then the log of the sidecar says once ""principal":"loopback""
      When I GET api/metrics with the header "authorization: Bearer s3cret"
      Then I get 200 and the words "exorelay_access_refusals_total{listener="api",status="401"} 3"

    Scenario: Strangers see that a process is ready, and nothing else
      When I GET api/ready with the header "x-forwarded-for: 192.0.2.7"
      Then I get 200 with `{"ready":true}`
      When I GET api/ready with the header "authorization: Bearer s3cret"
      Then I get 200 and the words ""role":"web""
      When I GET api/health
      Then I get 200 with `{"status":"ok"}`

    Scenario: The command line presents a token, and prints it nowhere
      When I run `exorelay dead-letters ls --api {api} --token s3cret`
      Then "run" ends with status 0
      When I run `exorelay dead-letters ls --api {api}`
      Then it fails with one line that says "dead-letters is not for everyone"
      Given the setting EXORELAY_TOKEN is s3cret-of-web
      When I run `exorelay dead-letters ls --api {api}`
      Then it fails with one line that says "token:web may not dead-letters: no rule allows it"

    Scenario Outline: A decision is explained without a call
      When I run `exorelay access check --config {folder}/exorelay.toml <call>`
      Then "run" prints the row "<explanation>"

      Examples:
        | call                                 | explanation                                                                 |
        | --as token:web send users.create     | allowed: token:web, send:users.create: rule 2 .*exorelay.toml:14.*role:web   |
        | --as token:ops metrics               | allowed: token:ops, metrics: rule 1 .*exorelay.toml:10.*token:ops            |
        | send ping                            | allowed: anonymous, send:ping: rule 3 .*exorelay.toml:19.*anyone             |

    Scenario: A refused call is explained, too
      When I run `exorelay access check --config {folder}/exorelay.toml --as token:web send users.delete`
      Then it fails with one line that says "refused: token:web, send:users.delete: rule 2"
      When I run `exorelay access check --config {folder}/exorelay.toml --as role:web read orders`
      Then it fails with one line that says "no rule is about it"

  Rule: Tokens without rules

    Scenario: One token guards everything
      Given the setting EXORELAY__ACCESS__TOKENS is ops=s3cret
      And `exorelay streams` is running
      When I PUT `hello` to streams/v1/stream/notes as text/plain
      Then I get 401 with the problem "unauthenticated"
      When I run `exorelay stream create notes --type text/plain --url http://{streams}/v1/stream --token s3cret`
      Then "run" ends with status 0
      When I GET streams/v1/stream/notes
      Then I get 401 with the problem "unauthenticated"
      When I GET streams/v1/stream/notes with the header "authorization: Bearer s3cret"
      Then I get 200 with an empty body

  Rule: Streams of users

    Background:
      Given the setting EXORELAY__ACCESS__JWT_SECRET is a-shared-secret-of-at-least-32-bytes
      And the setting EXORELAY__ACCESS__QUERY is access_token
      And the file "exorelay.toml":
        """
        [[access.rules]]
        who = "authenticated"
        allow = ["streams:users/{sub}/**"]

        [[access.rules]]
        who = "anyone"
        allow = ["read:public/**"]
        """
      And `exorelay streams --config {folder}/exorelay.toml` is running

    Scenario: Each user has the streams below the own name
      When alice PUTs `1` to streams/v1/stream/users/alice/inbox
      Then I get 201 with an empty body
      When alice PUTs `1` to streams/v1/stream/users/bob/inbox
      Then I get 403 with the problem "forbidden" and the words "sub:alice may not create:users/bob/inbox: no rule allows it"
      When alice GETs streams/v1/stream/users/alice/inbox
      Then I get 200 with `1`
      And the answer has the header "cache-control: private, no-cache"
      When bob GETs streams/v1/stream/users/alice/inbox
      Then I get 403 with the problem "forbidden" and the words "sub:bob may not read:users/alice/inbox"
      When I GET streams/v1/stream/users/alice/inbox
      Then I get 401 with the problem "unauthenticated"

    Scenario: A fork needs the right to read its source
      When alice PUTs `secret` to streams/v1/stream/users/alice/inbox
      Then I get 201 with an empty body
      When bob forks "users/alice/inbox" as streams/v1/stream/users/bob/copy
      Then I get 403 with the problem "forbidden" and the words "sub:bob may not read:users/alice/inbox"

    Scenario Outline: No name of a user stands for the streams of others
      When <name> GETs streams/v1/stream/users/alice/inbox
      Then I get 403 with the problem "forbidden" and the words "may not read:users/alice/inbox"

      Examples:
        | name        |
        | *           |
        | **          |
        | ../alice    |
        | alice/inbox |
        | %61lice     |

    Scenario: A subscription needs a right of its own to all that it matches
      When alice subscribes to "users/alice/**" at streams
      Then I get 201 and the words "users/alice/**"
      When alice subscribes to "users/**" at streams
      Then I get 403 and the words "sub:alice may not subscribe:users/**"
      When bob DELETEs streams/v1/stream/__ds/subscriptions/mine
      Then I get 403 and the words "sub:bob may not subscribe:users/alice/**"

    Scenario: A token in the query is taken, and not passed on
      When alice GETs streams/v1/stream/users/alice/missing with the token in the query
      Then I get 404 with the problem "not-found"
      And the answer does not have the token

  Rule: Listeners for others

    Scenario: A listener that other hosts reach needs a rule
      When I run `exorelay streams --listen 0.0.0.0:0`
      Then "run" ends with status 78
      And "run" logs "the listener streams is on 0.0.0.0:"
      And "run" logs "nothing guards it: set [[access.rules]] or [[access.tokens]], or tls.client_required with its files; or listen on 127.0.0.1; or let everyone use it with --insecure"

    Scenario Outline: Every listener is checked
      When I run `exorelay <command>`
      Then "run" ends with status 78
      And "run" logs "the listener <listener> is on 0.0.0.0:"

      Examples:
        | command                                                                              | listener |
        | broker --listen 0.0.0.0:0                                                            | broker   |
        | run --role a --bus embedded --api 0.0.0.0:0 --listen 127.0.0.1:0                      | api      |
        | run --role a --bus embedded --listen 0.0.0.0:0 --api 127.0.0.1:0                      | listen   |
        | run --role a --bus embedded --listen 127.0.0.1:0 --api 127.0.0.1:0 --edge 0.0.0.0:0    | edge     |
        | streams --listen 127.0.0.1:0 --ops 0.0.0.0:0                                          | ops      |

    Scenario: Everyone is let in on demand, and the log says so
      Given `exorelay streams --listen 0.0.0.0:0 --public-url https://streams.example --insecure` is running
      Then its log says "NO ACCESS CONTROL"

    Scenario: A token makes a listener fit for others
      Given the setting EXORELAY__ACCESS__TOKENS is ops=s3cret
      And `exorelay streams --listen 0.0.0.0:0 --public-url https://streams.example` is running
      When I GET streams/v1/stream/notes
      Then I get 401 with the problem "unauthenticated"

  Rule: Deliveries to a sidecar

    Scenario: Only the broker that a sidecar has given its token delivers
      Given a service that answers every message
      And `exorelay broker` is running
      And the setting EXORELAY__LISTEN__TOKEN is s3cret-of-deliveries
      And `exorelay run --role users --receives users.create --bus {broker} --forward {service}` is running as "users"
      And `exorelay run --role web --sends users.create --bus {broker}` is running as "web"
      When I POST `{"id":"1","payload":1}` to listen/run/users.create
      Then I get 401 with the problem "unauthenticated" and the words "need the token of listen.token"
      When I POST `2` to api/send/users.create
      Then the service gets "users.create" with payload `2`

  Rule: Roles at the broker

    Background:
      Given the file "exorelay.toml":
        """
        [[access.tokens]]
        name = "ops"
        token = "s3cret-of-ops"

        [[access.tokens]]
        name = "users"
        token = "s3cret-of-users"

        [[access.rules]]
        who = "token:ops"
        allow = ["administration"]

        [[access.rules]]
        who = "token:users"
        allow = ["register:users", "send:**"]
        """
      And `exorelay broker --config {folder}/exorelay.toml` is running

    Scenario: A role without a token of its own needs a rule
      When I POST `{"id":"1","payload":1}` to broker/send/users.create
      Then I get 401 with the problem "unauthenticated" and the words "send:users.create is not for everyone"
      When I DELETE broker/services/users?instance=1
      Then I get 401 with the problem "unauthenticated" and the words "register:users is not for everyone"
      When I GET broker/undelivered
      Then I get 401 with the problem "unauthenticated" and the words "undelivered is not for everyone"
      When I GET broker/undelivered with the header "authorization: Bearer s3cret-of-users"
      Then I get 403 with the problem "forbidden" and the words "token:users may not undelivered"

    Scenario Outline: A sidecar registers as what the rules say, and as nothing else
      Given the setting EXORELAY__BUS__TOKEN is s3cret-of-users
      And `exorelay run --role users <bus>` is running as "users"
      When I run `exorelay ps --broker {broker} --token s3cret-of-ops`
      Then "run" prints the row "users .* (up|connected)"
      When I run `exorelay run --role web <bus> --api 127.0.0.1:0`
      Then "run" logs "token:users may not register:web: no rule allows it"

      Examples:
        | bus                                     |
        | --bus {broker} --listen 127.0.0.1:0     |
        | --bus ws://{broker.address}             |
