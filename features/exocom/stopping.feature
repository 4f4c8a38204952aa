Feature: Ends that original clients survive

  As the operator of services that were written for the original ExoCom
  I want every connection of theirs to end as it did there
  So that a restart of the broker, or a fault of one service, ends no other program.

  Clients in Go panic when they read a close frame, and when they write after the end of a connection. They survive a
  reset, and connect again.

  Background:
    Given the service data:
      | ROLE  | SENDS        | RECEIVES     |
      | web   | create user  | user created |
      | users | user created | create user  |

  Scenario: the port is closed before the connections end
    Given the variable EXORELAY__DRAIN__GRACE_MS is `1000`
    And exocom is running
    And web is connected
    When exocom gets SIGTERM
    Then the port is closed
    And the connection of web is reset
    And it ends with status 0

  Scenario: services that come back at once find no open port
    Given exocom is running
    And web is connected and always comes back
    When exocom gets SIGTERM
    Then it ends with status 0
    And it was only ever cut off by a reset

  Scenario: a hangup ends nothing
    Given exocom is running
    And web is connected
    When exocom gets SIGHUP
    And web sends "create user" with {"id":"1"}
    And users connects
    Then users gets "create user" with {"id":"1"}
    When exocom gets SIGTERM
    Then it ends with status 0

  Scenario: the process is killed
    Given exocom is running
    And web is connected
    When exocom gets SIGKILL
    Then the connection of web is reset

  Scenario: a frame over the limit
    Given the variable EXORELAY__BROKER__FRAME_BYTES_MAX is `100`
    And exocom is running
    And web is connected
    When web sends "create user" with {"id":"1","payload":"012345678901234567890123456789012345678901234567890123456789"}
    Then the connection of web is reset
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      Error listening for messages for web ID: Error reading from socket: Message too long: 156 > 100
      'web' disconnected
      """

  Scenario: a frame of 60 MB passes
    Given exocom is running
    And web and users are connected
    When web sends "create user" with 60 MB
    Then users gets "create user" with 60 MB

  Scenario: a registration that is refused
    Given the variable EXORELAY__BROKER__TOKENS is `web=secret`
    And exocom is running
    And web opens a socket and does not register
    When web sends the frame `{"name":"exocom.register-service","sender":"web","id":"r","activityId":"r"}`
    Then the connection of web is reset
    And the log says `Error listening for messages for web : Error reading from socket: its registration is refused: the role "web" needs its token to register`
