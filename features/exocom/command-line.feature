Feature: The command line

  As an operator
  I want the program to be started, asked and ended like ExoCom
  So that it fits into the scripts I have.

  Scenario: the version
    When I run `exocom version`
    Then it ends with status 0
    And the log says `0.27.0`
    And the log has 2 lines

  Scenario: a command that does not exist
    When I run `exocom foo`
    Then it ends with status 1
    And it complains `unknown command "foo" for "exocom"`

  Scenario: help
    When I run `exocom --help`
    Then it ends with status 0
    And the log says `Usage: exocom [OPTIONS] [COMMAND]`

  Scenario: no service data
    When I run `exocom`
    Then it ends with status 2
    And it complains `No service data provided`

  Scenario Outline: service data that cannot be used
    Given the variable <VARIABLE> is `<TEXT>`
    When I run `exocom`
    Then it ends with status 2
    And it complains `<VARIABLE> is not usable: <CAUSE>`

    Examples:
      | VARIABLE       | TEXT                 | CAUSE                                                    |
      | SERVICE_DATA   | {"web":              | not JSON                                                 |
      | SERVICE_DATA   | {"web":{"sends":5}}  | role "web": "sends" must be an array of message names    |
      | SERVICE_DATA   | [{"role":"web"}]     | expected a JSON object                                   |
      | SERVICE_ROUTES | {"web":{}}           | expected a JSON array                                    |

  Scenario: a setting that cannot be used
    Given the variable SERVICE_DATA is `{}`
    And the variable EXORELAY__BROKER__FRAME_BYTES_MAX is `many`
    When I run `exocom`
    Then it ends with status 2
    And it complains `broker.frame_bytes_max (environment EXORELAY__BROKER__FRAME_BYTES_MAX) is "many"`

  Scenario: the end
    Given the variable SERVICE_DATA is `{"web":{}}`
    And exocom is running
    And web is connected
    When exocom gets SIGTERM
    Then it ends with status 0
    And the connection of web is reset
    And it complains about nothing
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      """

  Scenario: the log of the program itself, and no payloads
    Given the variable SERVICE_DATA is `{"web":{"sends":["hi"],"receives":["hi"]}}`
    And the variable EXORELAY__LOG__LEVEL is `info`
    And the variable EXORELAY__BROKER__LOG_PAYLOADS is `false`
    And exocom is running
    And web is connected
    When web sends "hi" with {"payload":"secret"}
    Then web gets "hi" with {"payload":"secret"}
    And it complains `service registered`
    And the log says from the beginning:
      """
      ExoCom online at port PORT
      'web' registered
      web  --[ hi ]->  web
      """
