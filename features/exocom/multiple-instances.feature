Feature: Several instances of one role

  As an operator
  I want to run a service several times
  So that it carries more load and survives the end of one process.

  Background:
    Given the service data:
      | ROLE  | SENDS        | RECEIVES     |
      | web   | create user  | user created |
      | users | user created | create user  |
    And exocom is running
    And the instance web-1 of web is connected
    And the instance web-2 of web is connected
    And users is connected

  Scenario Outline: one instance goes, the other one remains
    When the connection of <GONE> is cut
    And users sends "user created"
    Then <LEFT> gets "user created"
    And the log says `'web' disconnected`

    Examples:
      | GONE  | LEFT  |
      | web-1 | web-2 |
      | web-2 | web-1 |

  Scenario Outline: an answer finds the instance that asked
    When <ASKING> sends "create user" in activity "111"
    Then users gets "create user" with {"activityId":"111"}
    When users sends "user created" in activity "111"
    Then <ASKING> gets "user created" with {"activityId":"111"}
    And <OTHER> has got nothing else

    Examples:
      | ASKING | OTHER |
      | web-1  | web-2 |
      | web-2  | web-1 |

  Scenario: a conversation stays with one instance
    When users sends "user created" in activity "111"
    And users sends "user created" in activity "111"
    Then one of web-1 and web-2 has got both messages, the other one none

  Scenario Outline: the instance that asked has gone before the answer
    When <ASKING> sends "create user" in activity "111"
    Then users gets "create user"
    When the connection of <ASKING> is cut
    And users sends "user created" in activity "111"
    Then <OTHER> gets "user created" with {"activityId":"111"}

    Examples:
      | ASKING | OTHER |
      | web-1  | web-2 |
      | web-2  | web-1 |
