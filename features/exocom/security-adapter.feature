Feature: The security adapter

  As the author of an application
  I want one service to authorize every message before it is delivered
  So that permissions are checked in one place.

  Background:
    Given the service data:
      | ROLE     | SENDS                         | RECEIVES                           |
      | web      | create user                   | user created, message unauthorized |
      | users    | user created                  | create user                        |
      | sessions | session data                  | get session                        |
      | security |                               |                                    |
    And exocom is running
    And web and users are connected
    And sessions and security are connected
    And web has sent "create user" with {"id":"111","auth":"222","activityId":"333","payload":{"name":"Will Riker"}}

  Scenario: a message is authorized
    Then security is asked to authorize {"name":"create user","sender":"web","id":"111","auth":"222","activityId":"333","payload":{"name":"Will Riker"}}
    When security answers "message authorized"
    Then users gets "create user" with {"id":"111","activityId":"333","payload":{"name":"Will Riker"}}
    And the log says `web  --[ create user ]->  users`

  Scenario: a message is not authorized
    Then security is asked to authorize {"name":"create user"}
    When security answers "message unauthorized"
    Then web gets "message unauthorized" with {"activityId":"333","payload":{"name":"create user","id":"111","auth":"222"}}
    And the log says `Warning: Unauthorized message 'create user' from 'web' with activityId '333'`
    And users has got nothing else

  Scenario: the security service asks another service first
    Then security is asked to authorize {"name":"create user"}
    When security asks for {"name":"get session","payload":{"id":5},"id":"3","activityId":"777"}
    Then sessions gets "get session" with {"id":"3","activityId":"777","payload":{"id":5}}
    When sessions sends "session data" with {"activityId":"777","payload":{"user":"Will"}}
    Then security gets the response {"name":"session data","sender":"sessions","payload":{"user":"Will"}}
    When security answers "message authorized"
    Then users gets "create user" with {"id":"111"}

  Scenario Outline: the security service asks in an activity in which no message waits
    Given security is asked to authorize {"name":"create user"}
    When security answers "<VERDICT>"
    And security asks in activity "<ACTIVITY>" for {"name":"get session","id":"3","activityId":"777"}
    Then sessions gets "get session" with {"id":"3","activityId":"777"}
    When sessions sends "session data" with {"activityId":"777","payload":{"user":"Will"}}
    Then security gets the response {"name":"session data","payload":{"user":"Will"}} in activity "<ACTIVITY>"

    Examples:
      | VERDICT              | ACTIVITY |
      | message authorized   | 555      |
      | message authorized   | the same |
      | message unauthorized | the same |

  Scenario Outline: a request of the security service without an id
    Given security is asked to authorize {"name":"create user"}
    When security asks for <INNER>
    Then sessions gets "get session" with a new id
    When sessions answers it with "session data"
    Then security gets the response {"name":"session data"}

    Examples:
      | INNER                                              |
      | {"name":"get session"}                             |
      | {"name":"get session","id":""}                     |
      | {"name":"get session","id":null,"activityId":""}   |
      | {"name":"get session","activityId":"777"}          |

  Scenario Outline: an ordinary message without an id
    Given security is asked to authorize {"name":"create user"}
    When web sends the frame `<FRAME>`
    Then security is asked to authorize {"name":"create user","activityId":"334"}
    When security answers "message authorized"
    Then users gets "create user" with a new id

    Examples:
      | FRAME                                                             |
      | {"name":"create user","sender":"web","activityId":"334"}          |
      | {"name":"create user","sender":"web","activityId":"334","id":""}  |
      | {"id":null,"name":"create user","sender":"web","activityId":"334"} |

  Scenario: marking a message as secure does not bypass the security service
    Then security is asked to authorize {"name":"create user","id":"111"}
    When web sends "create user" with {"id":"112","isSecurity":true}
    Then security is asked to authorize {"name":"create user","id":"112"}
    And users has got nothing else

  Scenario: the security service comes late
    Given security is asked to authorize {"name":"create user","id":"111"}
    When the connection of security is cut
    And web sends "create user" with {"id":"112"}
    Then the log says `No connected service for role 'security'`
    When security connects
    Then security is asked to authorize {"name":"create user","id":"112"}

  Scenario: a verdict about an unknown message changes nothing
    Given security is asked to authorize {"name":"create user","id":"111"}
    When security sends "message unauthorized" in activity "unheard-of"
    Then the log says `Warning: 'message unauthorized' for activityId 'unheard-of', in which no message awaits a verdict`
    When security answers "message authorized"
    Then users gets "create user" with {"id":"111"}
