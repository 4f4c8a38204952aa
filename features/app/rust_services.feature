Feature: A service in Rust
  A service is a table of handlers. Its environment says who it is and where ExoCom is, with the names of either era, and
  the process runs until it is asked to stop.

  # Two abilities of the original have no counterpart: services in plain JavaScript beside those in other dialects of it, and
  # finding a server file in the root directory or in `src/`. Both are about loading JavaScript; a Rust service is a program.

  Background:
    Given a mock broker

  Scenario Outline: It answers
    Given the sample service "greeter" is running over <transport>
    Then the mock broker knows "greeter"
    When the mock broker sends "<message>" with `<payload>` to "greeter"
    Then the mock broker receives "<answer>" <with> from "greeter" in the same activity

    Examples:
      | transport | message | payload          | answer   | with                          |
      | HTTP      | ping    | null             | pong     | without payload               |
      | HTTP      | ping it | null             | pong it  | without payload               |
      | HTTP      | greet   | {"name":"world"} | greeting | with `{"text":"Hello world"}` |
      | WebSocket | ping    | null             | pong     | without payload               |
      | WebSocket | ping it | null             | pong it  | without payload               |
      | WebSocket | greet   | {"name":"world"} | greeting | with `{"text":"Hello world"}` |

  Scenario: It does not know a message
    Given the sample service "greeter" is running over HTTP
    Then the mock broker knows "greeter"
    When the mock broker sends "zonk" to "greeter"
    Then the last response code is 404

  Scenario Outline: Its answer is on behalf of the one who asked
    Given the sample service "greeter" is running over <transport>
    Then the mock broker knows "greeter"
    When the mock broker sends "ping" on behalf of `1` to "greeter"
    Then the mock broker receives "pong" on behalf of `1` in the same activity

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario Outline: It sends messages of its own
    Given the sample service "greeter" is running over <transport>
    Then the mock broker knows "greeter"
    When the mock broker sends "sender" to "greeter"
    Then the mock broker receives "greetings" with `"from the sender service"` from "greeter"
    And the mock broker receives "greetings again" with `"from the same"` from "greeter"

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario Outline: It prepares itself before the first message
    Given the sample service "prepared" is running over <transport>
    Then the mock broker knows "prepared"
    When the mock broker sends "ping" to "prepared"
    Then the mock broker receives "pong" with `{"prepared":true}` from "prepared"

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario Outline: Its preparation fails
    When the sample service "unprepared" is started over <transport>
    Then "unprepared" ends with status 1
    And the log of "unprepared" says "the service cannot start: before_all failed: the database is away"
    And the mock broker does not know "unprepared"

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |

  Scenario: It listens on the configured port
    Given the sample service "greeter" is running over HTTP
    Then "greeter" answers GET /status with 200 at the port it prints

  Scenario: It is online at the port of its broker
    Given the sample service "greeter" is running over WebSocket
    Then "greeter" is online at the port of the mock broker

  Scenario: Its broker is away for a moment
    Given the sample service "greeter" is running over WebSocket
    Then the mock broker knows "greeter"
    When the mock broker cuts every connection
    Then the mock broker knows "greeter"
    When the mock broker sends "ping" to "greeter"
    Then the mock broker receives "pong" without payload from "greeter" in the same activity

  Scenario Outline: It stops when asked
    Given the sample service "greeter" is running over <transport>
    Then the mock broker knows "greeter"
    When "greeter" gets <signal>
    Then "greeter" ends with status 0
    And the mock broker does not know "greeter" any more

    Examples:
      | transport | signal  |
      | HTTP      | SIGTERM |
      | HTTP      | SIGINT  |
      | WebSocket | SIGTERM |

  Scenario: Its broker is not there
    When the sample service "greeter" is started with ROLE=greeter and EXOCOM_PORT=1
    Then the log of "greeter" says "not on the bus yet, retrying"
    And the log of "greeter" says "ws://localhost:1/services"
    When "greeter" gets SIGTERM
    Then "greeter" ends with status 0

  Scenario: Its broker of the HTTP era is not there
    When the sample service "greeter" is started with SERVICE_NAME=greeter and EXORELAY_PORT=0 and EXOCOM_PORT=1
    Then the log of "greeter" says "not on the bus yet, retrying"
    When "greeter" gets SIGTERM
    Then "greeter" ends with status 0
    And "greeter" never printed "online"

  Scenario: Nobody said who it is
    When the sample service "greeter" is started with EXOCOM_PORT=4100
    Then "greeter" ends with status 1
    And the log of "greeter" says "ROLE: not set: set it to the role of this service"

  Scenario: Nobody said where it should listen
    When the sample service "greeter" is started with SERVICE_NAME=greeter
    Then "greeter" ends with status 1
    And the log of "greeter" says "EXORELAY_PORT: not set, but SERVICE_NAME is: set it to the port to listen on"
