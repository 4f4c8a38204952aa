Feature: Broadcasting messages

  As a service of an application
  I want to send a message to every service that is interested in it
  So that I need not know which ones these are.

  - the landscape lists who receives a message
  - the broker sends the message to every role that receives it, with the id and the payload it came with

  Background:
    Given a broker
    And the landscape:
      | NAME  | NAMESPACE | SENDS        | RECEIVES     |
      | web   |           | create-user  | created-user |
      | users |           | created-user | create-user  |

  Scenario: a service sends a message
    When web sends "create-user" as "111" with the payload {"name":"Will Riker"}
    Then the broker answers 200
    And the answer is empty
    And the broker logs "web  --[ create-user ]->  users"
    And users receives "create-user" as "111" with the payload {"name":"Will Riker"}

  Scenario: a service replies to a message
    When users sends "created-user" in reply to "111"
    Then the broker logs "users  --[ created-user ]->  web"
    And web receives "created-user" in reply to "111"

  Scenario: a message for several services
    When the landscape is posted:
      | NAME  | NAMESPACE | SENDS       | RECEIVES    |
      | web   |           | create-user |             |
      | users |           |             | create-user |
      | log   |           |             | create-user |
    And web sends "create-user" as "111"
    Then the broker logs "web  --[ create-user ]->  users and log"
    And users has received, in this order: 111
    And log has received, in this order: 111
    And web has received nothing

  Scenario: names may hold anything that URLs have to escape
    When the landscape is posted:
      | NAME  | NAMESPACE | SENDS | RECEIVES            |
      | users |           |       | create/a user? #1 ü |
    And web sends "create/a user? #1 ü"
    Then users receives "create/a user? #1 ü"

  Scenario: the trace of the call goes with the message
    When I POST to /send/create-user with the header "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":
      """
      {"id": "1", "sender": "web"}
      """
    Then users receives "create-user" as "1"
    And users received the header "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    And users received the header "content-type: application/json"
    And users received the header "accept: application/json"

  Scenario: payloads are logged only when asked for
    When web sends "create-user" with the payload {"password":"secret"}
    Then the broker logs "web  --[ create-user ]->  users"
    And the log does not contain "secret"

  Scenario: a broker that was asked to log payloads
    Given a broker that logs payloads
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES    |
      | users |           |       | create-user |
    When web sends "create-user" with the payload {"name":"Will"}
    Then the broker logs "{'name':'Will'}"

  Scenario: a broker that was not asked to log
    Given a broker that does not log
    And the landscape:
      | NAME  | NAMESPACE | SENDS | RECEIVES    |
      | users |           |       | create-user |
    When web sends "create-user"
    Then users receives "create-user"
    And the log does not contain "create-user"
