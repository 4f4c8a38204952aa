Feature: Several instances of one role

  As an operator
  I want to run a service several times
  So that it carries more load and survives the end of one process.

  - one instance of each role gets a message
  - a conversation stays with the instance that took part in it
  - an answer finds the instance that asked

  Background:
    Given a broker

  Scenario: instances take turns
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    When users sends "created"
    And users sends "created"
    And users sends "created"
    And users sends "created"
    Then "web-1" and "web-2" have received 2 messages each

  Scenario: a conversation stays with one instance
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    When users sends "created" in activity "111"
    And users sends "created" in activity "111"
    And users sends "created" in activity "111"
    Then exactly one of "web-1" and "web-2" has received 3 messages

  Scenario Outline: an answer finds the instance that asked
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" in activity "111" from instance "<ASKING>"
    And users sends "created" as "2" in activity "111"
    Then "<ASKING>" has received, in this order: 2
    And "<OTHER>" has received nothing

    Examples:
      | ASKING | OTHER |
      | web-1  | web-2 |
      | web-2  | web-1 |

  Scenario Outline: an answer that knows only the message's id finds the instance that asked
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" in activity "111" from instance "<ASKING>"
    And users sends "created" as "2" in reply to "1"
    Then "<ASKING>" has received, in this order: 2
    And "<OTHER>" has received nothing

    Examples:
      | ASKING | OTHER |
      | web-1  | web-2 |
      | web-2  | web-1 |

  Scenario: the instance that asked gets the answer even if its role does not receive it
    Given the instance "web-1" of web receives ""
    And the instance "web-2" of web receives ""
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" from instance "web-2"
    And users sends "created" as "2" in reply to "1"
    Then the broker answers 200
    And "web-2" has received, in this order: 2
    And "web-1" has received nothing

  Scenario: an instance that asked, and receives the answer anyway, gets it once
    Given the instance "web-1" of web receives "created"
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" from instance "web-1"
    And users sends "created" as "2" in reply to "1"
    And users sends "created" as "3"
    Then "web-1" has received, in this order: 2, 3

  Scenario: the instance that asked has left, another one receives the answer
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" in activity "111" from instance "web-1"
    And the instance "web-1" of web leaves
    And users sends "created" as "2" in activity "111"
    Then "web-2" has received, in this order: 2

  Scenario: the instance that asked has left, and its role does not receive the answer
    Given the instance "web-1" of web receives ""
    And the instance "web-2" of web receives ""
    And the instance "users-1" of users receives "create"
    When web sends "create" as "1" from instance "web-1"
    And the instance "web-1" of web leaves
    And users sends "created" as "2" in reply to "1"
    Then the broker answers 404
    And "web-2" has received nothing

  Scenario: the remaining instance gets everything
    Given the instance "web-1" of web receives "created"
    And the instance "web-2" of web receives "created"
    When the instance "web-1" of web leaves
    And users sends "created" as "1"
    And users sends "created" as "2"
    Then "web-2" has received, in this order: 1, 2

  Scenario: what waits for an instance that leaves goes to another one, in order
    Given the instance "web-1" of web receives "created"
    And "web-1" is offline
    When users sends "created" as "1"
    And users sends "created" as "2"
    And users sends "created" as "3"
    And the instance "web-2" of web registers for "created"
    And the instance "web-1" of web leaves
    Then "web-2" has received, in this order: 1, 2, 3

  Scenario: what waits for the last instance waits for the next one
    Given the instance "web-1" of web receives "created"
    And "web-1" is offline
    When users sends "created" as "1"
    And users sends "created" as "2"
    And the instance "web-1" of web leaves
    And the instance "web-2" of web registers for "created"
    Then "web-2" has received, in this order: 1, 2
