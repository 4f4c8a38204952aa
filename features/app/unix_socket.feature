Feature: The api on a Unix socket
  Only processes of the same user can open the socket of `--api unix:PATH`, so the service needs no port and no token.

  Scenario: A service and the tools call their sidecar over a socket
    Given `exorelay run --role users --receives hello --bus embedded --api unix:{folder}/api.sock` is running
    Then the permissions of "api.sock" are 0600
    When I run `exorelay send hello 1 --api {api}`
    Then "run" prints "-"
    When I run `exorelay tail --api {api} --name hello`
    Then "run" prints "hello"
    When I run `exorelay health --api {api}`
    Then "run" prints "ready"

  Scenario: The socket is removed at the end, and that of a process that was killed is replaced
    Given `exorelay run --role users --receives hello --bus embedded --api unix:{folder}/api.sock` is running
    When "sidecar" is killed and started again
    And I run `exorelay health --api {api}`
    Then "run" prints "ready"
    When it gets SIGTERM
    Then it ends with status 0
    And there is no file "api.sock"
    When I run `exorelay health --api unix:{folder}/api.sock`
    Then it fails with one line that says "api.sock"

  Scenario: A socket that is in use
    Given `exorelay run --role users --receives hello --bus embedded --api unix:{folder}/api.sock` is running
    When I run `exorelay run --role web --bus embedded --listen 127.0.0.1:0 --api {api}`
    Then it fails with one line that says "api.sock is already in use"
