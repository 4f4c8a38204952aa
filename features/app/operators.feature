Feature: What an operator sees and does at a shell
  `exorelay ps` lists what a broker knows, `exorelay dead-letters` what a sidecar could not handle or send.

  Scenario: A sidecar's URL where a broker's belongs, and the other way round
    Given `exorelay broker` is running
    And `exorelay run --role users --bus {broker}` is running as "users"
    When I run `exorelay activity 1 --broker {api}`
    Then it fails with one line that says "is a sidecar, not a broker: it takes `exorelay send`"
    When I run `exorelay send hello --api {broker}`
    Then it fails with one line that says "is a broker, not a sidecar: it takes `exorelay tail`"
    When I run `exorelay stream ls --url {broker}`
    Then it fails with one line that says "is a broker, not a server of streams"

  Scenario: Two tails share the messages, and say so
    Given `exorelay run --role users --bus embedded --receives hello` is running
    And somebody follows api/messages
    When I run `exorelay tail --api {api} --name helo`
    Then the log of "run" says "following helo on the sidecar of users at http://"
    And the log of "run" says "shared with 1 more: each message goes to one of the followers"
    And the log of "run" says "no such message is received here: helo; did you mean hello?"
