Feature: In the place of older originals

  As the operator of an application that was written before 2017-08
  I want its configuration and its services to work unchanged
  So that I need not touch what has been running for years.

  Scenario: services that answer by message, with namespaces
    Given the service routes:
      | ROLE   | SENDS                 | RECEIVES             | NAMESPACE     |
      | web    | tweets.create         | tweets.created       |               |
      | tweets | text-snippets.created | text-snippets.create | text-snippets |
    And exocom is running
    And web is connected as it was done in 2016
    And tweets is connected as it was done in 2016
    When web sends "tweets.create" with {"id":"1","payload":{"text":"hi"}}
    Then tweets gets "text-snippets.create" with {"id":"1","payload":{"text":"hi"}}
    When tweets sends "text-snippets.created" with {"id":"2","responseTo":"1"}
    Then web gets "tweets.created" with {"id":"2","responseTo":"1"}
    And the log says from the beginning:
      """
      Exocom 0.22.1
      ExoCom HTTP service online at port PORT
      ExoCom WebSocket listener online at port PORT
      ExoCom online at port PORT
      'web' registered
      'tweets' registered
      web  --[ tweets.create ]-[ text-snippets.create ]->  tweets
      {"text":"hi"}
      tweets  --[ text-snippets.created ]-[ tweets.created ]->  web  (TIME ms)
      null
      """
    And /config.json is, as application/json:
      """
      {"clients":{"tweets":{"clientName":"tweets","serviceType":"tweets","internalNamespace":"text-snippets"},
                  "web":{"clientName":"web","serviceType":"web"}},
       "routes":{"tweets":{"receives":["text-snippets.create"],"sends":["text-snippets.created"],"internalNamespace":"text-snippets"},
                 "web":{"receives":["tweets.created"],"sends":["tweets.create"]}}}
      """

  Scenario: a service of 2016 and one of 2018 answer each other
    Given the service routes:
      | ROLE  | SENDS        | RECEIVES     | TRANSLATIONS |
      | web   | create user  | user created |              |
      | users | mongo created | mongo create | create user = mongo create, user created = mongo created |
    And exocom is running
    And web is connected as it was done in 2016
    And users is connected
    When web sends "create user" with {"id":"1"}
    Then users gets "mongo create" with {"id":"1","activityId":"1"}
    When users sends "mongo created" in activity "1"
    Then web gets "user created" with {"responseTo":"1"}
    And /config.json is, as text/plain:
      """
      {"clients":[{"role":"users","instances":1},{"role":"web","instances":1}],
       "routes":{"users":{"receives":["mongo create"],"sends":["mongo created"],
                          "messageTranslations":[{"public":"create user","internal":"mongo create"},{"public":"user created","internal":"mongo created"}]},
                 "web":{"receives":["user created"],"sends":["create user"],"messageTranslations":[]}}}
      """

  Scenario Outline: what a shell left of the configuration
    Given the variable <VARIABLE> is `<VALUE>`
    And exocom is running
    And web is connected as it was done in 2016
    And users is connected as it was done in 2016
    When web sends "<NAME>" with {"id":"1"}
    Then users gets "<NAME>" with {"id":"1"}

    Examples:
      | VARIABLE         | NAME              | VALUE                                                                                  |
      | SERVICE_ROUTES   | users.create      | [{role:web,receives:[users.created],sends:[users.create]},{role:users,receives:[users.create]}] |
      | SERVICE_ROUTES   | users.create.now  | [{role:web,sends:[users.create.now,],},{role:users,receives:[users.create.now,],namespace:},]   |
      | SERVICE_ROUTES   | create a user     | [ {role: web, sends: [create a user]}, {role: users, receives: [ create a user ]} ]    |
      | SERVICE_MESSAGES | users.create      | [{name:web,receives:[users.created],sends:[users.create]},{name:users,receives:[users.create]}] |

  Scenario Outline: a configuration without services
    Given the variable <VARIABLE> is `<VALUE>`
    When exocom is started
    Then /config.json is, as application/json:
      """
      {"clients":{},"routes":{}}
      """

    Examples:
      | VARIABLE         | VALUE |
      | SERVICE_ROUTES   | {}    |
      | SERVICE_ROUTES   |       |
      | SERVICE_MESSAGES |       |

  Scenario: a configuration that is cut off
    Given the variable SERVICE_ROUTES is `[{role:web,receives:[users.created`
    When I run `exocom`
    Then it ends with status 2
    And it complains `SERVICE_ROUTES is not usable: not JSON: line 1, column 35: the array that begins at line 1, column 21 is not closed`

  Scenario: without a port it is 3100
    Given the variable SERVICE_ROUTES is `[{"role":"web"}]`
    And the variable EXOCOM_BIND is `127.0.0.1`
    When I run `exocom`
    Then the log says `ExoCom online at port 3100`

  Scenario: a port of my choice
    Given the variable SERVICE_ROUTES is `[{"role":"web","namespace":"html"}]`
    And a port that is free
    When exocom is started
    Then the log says `ExoCom WebSocket listener online at port {PORT}`

  Scenario: a port that is taken
    Given the variable SERVICE_ROUTES is `[{"role":"web","namespace":"html"}]`
    And a port that is taken
    When I run `exocom`
    Then it ends with status 1
    And it complains `Error: port {PORT} is already in use`

  Scenario: the broker of the HTTP era
    Given the variable EXOCOM_BIND is `127.0.0.1`
    When I run `exocom --port=0`
    Then the log says `Ctrl-C to stop`
    And /config.json is, as application/json:
      """
      {"services":{},"routes":{}}
      """
    When I GET /ready
    Then the answer is 200

  Scenario: the broker of the HTTP era is that broker whole
    Given the variable EXOCOM_BIND is `127.0.0.1`
    When I run `exocom --port=0`
    And I POST `[{"name":"web","port":9,"internalNamespace":"web","receives":["users.created"],"sends":[]},{"name":"users","port":9,"internalNamespace":"mongo","receives":["mongo.create"]}]` to /services
    Then the answer is 200
    When I POST `{"sender":"web","id":"1","payload":{"a": 1}}` to /send/users.create
    Then the answer is 200
    When I POST `{"sender":"web","id":"2"}` to /send/users.create
    Then the answer is 200
    When I POST `{"sender":"users","id":"3"}` to /send/mongo.created
    Then the answer is 500 `Error: No receivers for message 'users.created' registered`
    When I GET /services
    Then the answer is 404 `Cannot GET /services`
    And the log says from the beginning:
      """
      Exosphere Development Communications server 0.12.2

      Ctrl-C to stop
      ExoCom 0.12.2 online at port PORT
      receiving routing setup:
        --[ users.create ]-> users (localhost:9)
        --[ web.created ]-> web (localhost:9)
      web  --[ users.create ]-[ mongo.create ]->  users
      {"a":1}
      web  --[ users.create ]-[ mongo.create ]->  users
      undefined
      """

  Scenario: a reply of 2017 to a request that is not known
    Given the service routes:
      | ROLE   | SENDS         | RECEIVES      | NAMESPACE |
      | web    | users.create  | users.created |           |
      | users  | mongo.created | mongo.create  | mongo     |
    And exocom is running
    And web is connected as it was done in 2016
    And users is connected as it was done in 2016
    When users sends "mongo.created" with {"id":"2","responseTo":"unheard-of"}
    Then web gets "users.created" with {"id":"2","responseTo":"unheard-of"}
    And the log says `users  --[ mongo.created ]-[ users.created ]->  web  (NaN ms)`

  Scenario Outline: frames of 2017 have the keys of the original in compat mode
    Given the service routes:
      | ROLE   | SENDS         | RECEIVES      | NAMESPACE |
      | web    | users.create  | users.created |           |
      | users  | mongo.created | mongo.create  | mongo     |
    And the variable EXORELAY__BROKER__COMPAT is `<COMPAT>`
    And exocom is running
    And web is connected as it was done in 2016
    And users is connected as it was done in 2016
    When web sends "users.create" with {"id":"1","payload":1}
    Then users gets the frame of "mongo.create" with the keys <REQUEST>
    When users sends "mongo.created" with {"id":"2","payload":2,"responseTo":"1"}
    Then web gets the frame of "users.created" with the keys <REPLY>

    Examples:
      | COMPAT | REQUEST                              | REPLY                                                          |
      | true   | name, id, payload, timestamp         | name, id, payload, timestamp, responseTime, responseTo         |
      | false  | name, id, payload, sender, timestamp | name, id, payload, sender, timestamp, responseTime, responseTo |
