Feature: A security service
  A broker with a service of the role "security" asks it about every message before anybody gets it. In Rust that service
  is one function that says yes or no, and may ask other services first.

  Background:
    Given a mock broker

  Scenario Outline: The function decides by the message
    Given the sample service "guard" is running over <transport>
    Then the mock broker knows "security"
    When the mock broker sends "authorize message" with `{"name":"create user","sender":"web","id":"111","activityId":"333","auth":"<auth>"}` to "security"
    Then the mock broker receives "<verdict>" with `{}` from "security" in the same activity

    Examples:
      | transport | auth | verdict              |
      | HTTP      | abc  | message authorized   |
      | HTTP      | def  | message unauthorized |
      | WebSocket | abc  | message authorized   |
      | WebSocket | def  | message unauthorized |

  Scenario Outline: The function asks another service first
    Given the mock broker answers "security request" with "security response" and `{"id":"4",<answer>}`
    And the sample service "session guard" is running over <transport>
    Then the mock broker knows "security"
    When the mock broker sends "authorize message" with `{"name":"create user","sender":"web","id":"111","activityId":"333","auth":"abc"}` to "security"
    Then the mock broker receives the security request "retrieve user session" with `"abc"` in the same activity
    And the mock broker receives "<verdict>" with `{}` from "security" in the same activity

    Examples:
      | transport | answer                                                        | verdict              |
      | HTTP      | "name":"user session retrieved","payload":{"isAdmin":"true"}  | message authorized   |
      | HTTP      | "name":"user session retrieved","payload":{"isAdmin":"false"} | message unauthorized |
      | HTTP      | "name":"user session not found"                               | message unauthorized |
      | WebSocket | "name":"user session retrieved","payload":{"isAdmin":"true"}  | message authorized   |
      | WebSocket | "name":"user session retrieved","payload":{"isAdmin":"false"} | message unauthorized |
      | WebSocket | "name":"user session not found"                               | message unauthorized |

  Scenario Outline: What cannot be decided does not pass
    Given the sample service "session guard" is running over <transport>
    Then the mock broker knows "security"
    When the mock broker sends "authorize message" with `<question>` to "security"
    Then the mock broker receives "message unauthorized" with `{}` from "security" in the same activity
    And the log of "session guard" says "<reason>"

    Examples:
      | transport | question                          | reason                         |
      | HTTP      | {"id":"111","name":"create user"} | there is no auth               |
      | HTTP      | {"name":"create user"}            | the request holds no message: |
      | HTTP      | null                              | the request holds no message: |
      | WebSocket | {"id":"111","name":"create user"} | there is no auth               |
      | WebSocket | {"name":"create user"}            | the request holds no message: |
      | WebSocket | null                              | the request holds no message: |

  Scenario Outline: A broker asks it about every message, replies too
    Given the file "landscape.toml":
      """
      [services.security]
      [services.web]
      sends = ["greet"]
      receives = ["greeting"]
      [services.greeter]
      sends = ["greeting"]
      receives = ["greet"]
      [services.sessions]
      sends = ["user session retrieved"]
      receives = ["retrieve user session"]
      """
    And `exorelay broker --landscape {folder}/landscape.toml` is running
    And the sample service "session guard" is running over <transport> beside the broker
    And the sample service "sessions" is running over <transport> beside the broker
    And the sample service "greeter" is running over <transport> beside the broker
    And the relay "web" uses the broker
    Then the broker knows the role "security"
    And the broker knows the role "sessions"
    And the broker knows the role "greeter"
    When on behalf of `"abc"`, "web" requests "greet" with `{"name":"Will"}`
    Then the request is answered by "greeting" with `{"text":"Hello Will"}`
    When on behalf of `"def"`, "web" requests "greet" with `{"name":"Will"}`
    Then that fails: "greet could not be delivered: the security service refused it"

    Examples:
      | transport |
      | HTTP      |
      | WebSocket |
