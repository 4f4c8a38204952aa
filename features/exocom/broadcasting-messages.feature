Feature: Broadcasting messages

  As the operator of an application of the WebSocket era
  I want every message to reach all roles that listen to it, and no message to be sent by whom it does not belong to
  So that I can put this program in the place of ExoCom and notice nothing.

  Background:
    Given the service data:
      | ROLE  | SENDS                                          | RECEIVES                    | TRANSLATIONS                                                |
      | web   | users create, users list, delete user          | users created               |                                                             |
      | users | mongo created                                  | mongo create, delete user   | users create = mongo create, users created = mongo created |
      | log   |                                                | users create                |                                                             |
    And exocom is running
    And web and users are connected
    And log is connected

  Scenario: a message reaches every role that listens to it
    When web sends "users create" with {"id":"1","payload":{"name":"Will Riker"}}
    Then users gets "mongo create" with {"id":"1","payload":{"name":"Will Riker"},"sender":"web"}
    And log gets "users create" with {"id":"1"}
    And the log says `web  --[ users create ]-[ mongo create ]->  users`
    And the log says `web  --[ users create ]->  log`
    And the log says `{"name":"Will Riker"}`

  Scenario: the answer reaches the service that asked
    Given web has sent "users create" with {"activityId":"111"}
    And users has got "mongo create"
    When users sends "mongo created" in activity "111"
    Then web gets "users created" with {"activityId":"111"}
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      'users' registered
      'log' registered
      web  --[ users create ]-[ mongo create ]->  users
      null
      web  --[ users create ]->  log
      null
      users  --[ mongo created ]-[ users created ]->  web  ( TIME )
      null
      """

  Scenario: a message whose name has a blank
    When web sends "delete user"
    Then users gets "delete user"
    And the log says `web  --[ delete user ]->  users`

  Scenario: a message that its sender may not send
    When web sends "users get-SSN"
    Then the log says `Warning: Service 'web' is not allowed to broadcast the message 'users get-SSN'`

  Scenario: a role that may send nothing
    When log sends "users create"
    Then the log says `Warning: Service 'log' is not allowed to broadcast the message 'users create'`
    And the log has 5 lines

  Scenario: a message that nobody listens to
    When web sends "users list"
    Then the log says `Warning: No receivers for message 'users list' registered`

  Scenario: the sender is who the frame says, connected as such or not
    When users sends "users create" with {"sender":"web"}
    Then log gets "users create" with {"sender":"web"}

  Scenario: somebody who has not registered speaks for a role
    Given stranger opens a socket and does not register
    When stranger sends "users create" with {"sender":"web"}
    Then log gets "users create" with {"sender":"web"}

  Scenario: receivers learn on whose behalf a message is sent
    When web sends "delete user" with {"auth":{"sessionId":"1"},"isSecurity":true}
    Then users gets "delete user" with {"auth":{"sessionId":"1"},"isSecurity":true}
