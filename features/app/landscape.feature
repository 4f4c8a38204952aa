Feature: The landscape of a broker
  A file declares the roles: what each receives, what it sends, and how its names relate to those of the others. The
  broker reads it when it starts, and again on SIGHUP; an invalid file changes nothing.

  Background:
    Given the setting EXORELAY__BROKER__SETTLE_MS is 0

  Scenario: Our own file
    Given the file "landscape.toml":
      """
      [services.web]
      sends = ["tweets create"]

      [services.tweets]
      receives = ["text-snippets create"]
      translations = [{ public = "tweets create", internal = "text-snippets create" }]

      [services.users]
      receives = ["mongo.create"]
      namespace = "mongo"
      address = "127.0.0.1:5002"
      """
    And `exorelay broker --landscape {folder}/landscape.toml` is running
    Then the broker's log says "landscape read" with generation 1, roles 3
    When I POST `{"id":"1","sender":"web"}` to broker/send/tweets%20create
    Then I get 200 with an empty body
    When I GET broker/services
    Then I get 200 and the words ""role":"users""

  Scenario: The JSON of the WebSocket era
    Given the file "service-data.json":
      """
      {"web": {"sends": ["users create"]}, "users": {"receives": ["users create"]}}
      """
    And `exorelay broker --landscape {folder}/service-data.json` is running
    When I POST `{"id":"1","sender":"web"}` to broker/send/users%20create
    Then I get 200 with an empty body

  Scenario: The files of an application
    Given the file "application.yml":
      """
      name: Example application
      services:
        web: { location: ./web-server }
        users:
          location: ./mongo-service
          dependency-data:
            exocom:
              translations:
                - public: users create
                  internal: mongo create
      """
    And the file "web-server/service.yml":
      """
      type: web-server
      dependency-data:
        exocom:
          sends: [users create]
      """
    And the file "mongo-service/service.yml":
      """
      type: mongo-service
      dependency-data:
        exocom:
          receives: [mongo create]
      """
    And `exorelay broker --landscape {folder}` is running
    When I POST `{"id":"1","sender":"web"}` to broker/send/users%20create
    Then I get 200 with an empty body

  Scenario: A service speaks its own language without telling so itself
    Given the file "landscape.toml":
      """
      [services.web]
      sends = ["users.create"]

      [services.users]
      receives = ["mongo.create"]
      namespace = "mongo"
      """
    And a service that answers every message
    And `exorelay broker --landscape {folder}/landscape.toml` is running
    And `exorelay run --role users --bus {broker} --forward {service}` is running as "users"
    When I POST `{"id":"1","sender":"web","payload":"Will"}` to broker/send/users.create
    Then the service gets "mongo.create" with payload `"Will"`

  Scenario Outline: A landscape that is wrong
    Given the file "landscape.toml":
      """
      [services.users]
      recieves = ["users.create"]
      """
    And the file "list.json":
      """
      [{"role": "users", "receives": "users.create"}]
      """
    And the file "application.yml":
      """
      services: { users: { location: ./users } }
      """
    And the file "users/service.yml":
      """
      messages: [users.create]
      """
    And the file "empty/README.md":
      """
      There is no application here.
      """
    When I run `exorelay broker --listen 127.0.0.1:0 --landscape <FILE>` in the folder
    Then it exits with 78 and complains on one line: <COMPLAINT>

    Examples:
      | FILE           | COMPLAINT                                                                                                                            |
      | landscape.toml | the landscape landscape.toml is not usable: role "users": unknown key "services.users.recieves": did you mean receives?              |
      | list.json      | the landscape list.json is not usable: service 0: "receives" must be an array of message names, at most 4096                         |
      | .              | the landscape ./users/service.yml is not usable: role "users": "messages": it must be a mapping with receives and sends              |
      | missing.toml   | cannot read the landscape missing.toml: No such file or directory (os error 2)                                                       |
      | empty          | cannot read the landscape empty/application.yml: No such file or directory (os error 2)                                              |
      | users/x.ini    | cannot read the landscape users/x.ini: No such file or directory (os error 2)                                                        |
      | empty/README.md | unknown type of landscape empty/README.md: expected a file that ends in .toml, .json, .yml or .yaml, or a folder with an application.yml |

  Scenario: It is read again
    Given the file "landscape.toml":
      """
      [services.web]
      sends = ["users.create", "log.write"]

      [services.users]
      receives = ["users.create"]
      """
    And `exorelay broker --landscape {folder}/landscape.toml` is running
    When I POST `{"id":"1","sender":"web"}` to broker/send/log.write
    Then I get 404 with the problem "no-receivers"
    When the file "landscape.toml" becomes:
      """
      [services.web]
      sends = ["users.create", "log.write"]
      receives = ["users.created"]

      [services.log]
      receives = ["log.write"]
      """
    And "broker" gets SIGHUP
    Then the broker's log says "landscape reloaded" with generation 2, added "log", removed "users", changed "web"
    When I POST `{"id":"2","sender":"web"}` to broker/send/log.write
    Then I get 200 with an empty body
    When I POST `{"id":"3","sender":"web"}` to broker/send/users.create
    Then I get 404 with the problem "no-receivers"
    When "broker" gets SIGHUP
    Then the broker's log says "landscape reloaded" with generation 3, added "", removed "", changed ""

  Scenario: It is read again and is wrong
    Given the file "landscape.toml":
      """
      [services.web]
      sends = ["users.create"]

      [services.users]
      receives = ["users.create"]
      """
    And `exorelay broker --landscape {folder}/landscape.toml` is running
    When the file "landscape.toml" becomes:
      """
      [services.users]
      receives = 5
      """
    And "broker" gets SIGHUP
    Then the broker's log says "landscape not applied, the previous one stays in force" with generation 1, error "the landscape {folder}/landscape.toml is not usable: role 'users': 'receives' must be an array of message names, at most 4096"
    When I POST `{"id":"1","sender":"web"}` to broker/send/users.create
    Then I get 200 with an empty body
    When the file "landscape.toml" is deleted
    And "broker" gets SIGHUP
    Then the broker's log says "landscape not applied, the previous one stays in force" with generation 1, error "cannot read the landscape {folder}/landscape.toml: No such file or directory (os error 2)"
    When the file "landscape.toml" becomes:
      """
      [services.web]
      sends = ["users.create"]
      """
    And "broker" gets SIGHUP
    Then the broker's log says "landscape reloaded" with generation 2, added "", removed "users", changed ""
    When I POST `{"id":"2","sender":"web"}` to broker/send/users.create
    Then I get 404 with the problem "no-receivers"

  Scenario: There is no landscape to read again
    Given `exorelay broker` is running
    When "broker" gets SIGHUP
    Then the broker's log says "SIGHUP ignored: no landscape to reload"
    When I GET broker/health
    Then I get 200 with `{"status":"ok"}`

  Scenario Outline: It is posted
    Given `exorelay broker` is running
    When I POST `<BODY>` to broker/services
    Then I get 200 with an empty body
    When I POST `{"id":"1","sender":"web"}` to broker/send/users.create
    Then I get 200 with an empty body
    When I POST `{"id":"2","sender":"web"}` to broker/send/users.zonk
    Then I get 404 with the problem "no-receivers"

    Examples:
      | BODY                                                                                                                                                                                                  |
      | [{"name":"users","port":1,"receives":["users.create"]}]                                                                                                                                               |
      | {"web":{"sends":["users.create","users.zonk"]},"users":{"receives":["create"],"translations":[{"public":"users.create","internal":"create"}]}}                                                        |
      | [{"role":"web","sends":["users.create","users.zonk"],"receives":[]},{"role":"users","sends":[],"receives":["mongo.create"],"namespace":"mongo"}]                                                      |
      | [{"role":"web","sends":["users.create","users.zonk"],"receives":[]},{"role":"users","sends":[],"receives":["create"],"messageTranslations":[{"public":"users.create","internal":"create"}]}]          |

  Scenario: It is posted and is wrong
    Given the file "landscape.json":
      """
      {"web": {"sends": ["users.create"]}, "users": {"receives": ["users.create"]}}
      """
    And `exorelay broker --landscape {folder}/landscape.json` is running
    When I POST `{"users": {"receives": 5}}` to broker/services
    Then I get 400 with the problem "invalid-message" and the words "role "users": "receives" must be an array"
    When I POST `{"id":"1","sender":"web"}` to broker/send/users.create
    Then I get 200 with an empty body

  Scenario: The file has the last word when it is read again
    Given the file "landscape.json":
      """
      [{"name": "users", "port": 1, "receives": ["users.create"]}]
      """
    And `exorelay broker --landscape {folder}/landscape.json` is running
    When I POST `[]` to broker/services
    And I GET broker/services
    Then I get 200 with `{"services":[],"absent":[]}`
    When "broker" gets SIGHUP
    Then the broker's log says "landscape reloaded" with generation 2
    When I GET broker/services
    Then I get 200 and the words ""role":"users""
