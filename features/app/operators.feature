Feature: What an operator sees and does at a shell
  `exorelay ps` lists what a broker knows, `exorelay dead-letters` what a sidecar could not handle or send.

  Scenario: Roles, instances, health, and what waits for them
    Given `exorelay broker` is running
    And `exorelay run --role users --receives users.create --bus {broker}` is running as "users"
    And `exorelay run --role log --receives users.create --forward http://127.0.0.1:9 --bus {broker}` is running as "log"
    When I run `exorelay ps --broker {broker}`
    Then "run" prints "ROLE"
    And "run" prints the row "users .* up +0 +-"
    And "run" prints the row "log .* (up|away) +0 +-"
    When I run `exorelay ps --broker {broker} --output json`
    Then "run" prints the row ""role":"users","instance":"[^"]+","health":"up","queueLength":0,"oldestMs":null"

  Scenario: A sidecar's URL where a broker's belongs, and the other way round
    Given `exorelay broker` is running
    And `exorelay run --role users --bus {broker}` is running as "users"
    When I run `exorelay ps --broker {api}`
    Then it fails with one line that says "is a sidecar, not a broker: it takes `exorelay send`"
    When I run `exorelay send hello --api {broker}`
    Then it fails with one line that says "is a broker, not a sidecar: it takes `exorelay tail`"
    When I run `exorelay stream ls --url {broker}`
    Then it fails with one line that says "is a broker, not a server of streams"

  Scenario: Two tails share the messages, and say so
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I run `exorelay tail --api {api} --name helo`
    Then "run" logs "following helo on the sidecar of users at http://"
    And "run" logs "shared with 1 more: each message goes to one of the followers"
    And "run" logs "no such message is received here: helo; did you mean hello?"

  Scenario: All dead letters are listed, however many pages they are
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello 102 times
    Then the service has got "hello" 102 times
    And there is a dead letter "hello" with the words "400"
    When I run `exorelay dead-letters ls --api {api}`
    Then "run" prints the row "102 .* incoming +hello +users .*400"
    When I run `exorelay dead-letters discard --all --api {api}`
    Then "run" prints "discarded 102"
    And there are no dead letters

  Scenario: Dead letters are listed, shown, tried again and discarded
    Given a service that answers 400 to every message
    And `exorelay run --role users --bus embedded --receives hello --forward {service}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "400"
    When I run `exorelay dead-letters ls --api {api}`
    Then "run" prints the row "1 .* incoming +hello +users .*400"
    When I run `exorelay dead-letters show 1 --api {api} --output json`
    Then "run" prints the row ""id":1,.*"payload":1"
    When I run `exorelay dead-letters replay --all --api {api}`
    Then "run" prints "replayed 1"
    And there is a dead letter "hello" with the words "400"
    When I run `exorelay dead-letters discard --all --api {api}`
    Then "run" prints "discarded 2"
    And there are no dead letters
    When I run `exorelay dead-letters show 1 --api {api}`
    Then it fails with one line that says "there is no dead letter 1"
