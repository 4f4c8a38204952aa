Feature: Configuring the port

  As an operator
  I want to choose the port as I did with ExoCom
  So that my scripts and containers go on working.

  Scenario: without a port it is 80
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And the variable EXOCOM_BIND is `127.0.0.1`
    When I run `exocom`
    Then the log says `ExoCom online at port 80`

  Scenario: a port of my choice
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And a port that is free
    When exocom is started
    Then the log says `ExoCom online at port {PORT}`

  Scenario: a port that is taken
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And a port that is taken
    When I run `exocom`
    Then it ends with status 2
    And the log says `ExoCom online at port {PORT}`
    And it complains `listen tcp :{PORT}: bind: address already in use`

  Scenario: a port that is no number
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And the variable PORT is `http`
    And the variable EXOCOM_BIND is `127.0.0.1`
    When I run `exocom`
    Then the log says `Given port is not numeric, using default port 80`
    And the log says `ExoCom online at port 80`

  Scenario: a port there cannot be
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And the variable PORT is `99999`
    When I run `exocom`
    Then it ends with status 2
    And the log says `ExoCom online at port 99999`
    And it complains `listen tcp: address 99999: invalid port`

  Scenario: on one host only
    Given the service data:
      | ROLE | SENDS | RECEIVES |
      | web  |       |          |
    And the variable EXOCOM_BIND is `192.0.2.1`
    And a port that is free
    When I run `exocom`
    Then it ends with status 2
    And it complains `listen tcp 192.0.2.1:{PORT}: bind: `
