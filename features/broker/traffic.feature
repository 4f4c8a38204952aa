Feature: Watching the traffic

  As somebody who runs services
  I want to see what goes through the broker
  So that I know who talks to whom, and where a message got stuck.

  - `GET /traffic` shows messages as they pass, `GET /activities/{id}` shows one conversation afterwards
  - payloads are shown to nobody unless the broker may log them
  - response times count from the request, not from whatever message came before

  Background:
    Given a broker
    And the landscape:
      | NAME   | NAMESPACE     | SENDS                 | RECEIVES             |
      | web    |               | tweets.create         | tweets.created       |
      | tweets | text-snippets | text-snippets.created | text-snippets.create |
      | log    |               |                       | tweets.create        |

  Scenario: a follower sees who receives a message, and by which name
    Given I follow /traffic
    When tweets sends "text-snippets.created" as "1" in activity "a"
    Then I see this go by:
      """
      {"id": "1", "name": "text-snippets.created", "publicName": "tweets.created", "sender": "tweets", "activityId": "a",
       "receivers": [{"role": "web", "instance": null, "name": "tweets.created"}], "payloadBytes": 0, "fate": "routed"}
      """

  Scenario: the chosen instance is named
    Given the instance "users-1" of users receives "create"
    And I follow /traffic
    When web sends "create" as "1"
    Then I see this go by:
      """
      {"id": "1", "receivers": [{"role": "users", "instance": "users-1", "name": "create"}]}
      """

  Scenario Outline: a follower sees only what it asks for
    Given I follow /traffic<QUERY>
    When web sends "tweets.create" as "1" in activity "a"
    And tweets sends "text-snippets.created" as "2" in activity "a"
    And log sends "tweets.created" as "3" in activity "b"
    And web sends "tweets.create" as "4" in activity "b"
    Then I see <IDS> go by, in this order

    Examples:
      | QUERY                         | IDS     |
      | ?message=tweets.created       | 2, 3    |
      | ?message=text-snippets.create | 1, 4    |
      | ?role=tweets                  | 1, 2, 4 |
      | ?activity=b                   | 3, 4    |
      | ?activity=b&role=tweets       | 4       |

  Scenario: a question that makes no sense
    When I GET /traffic?massage=tweets.create
    Then the broker answers 400
    And the answer is a problem of the kind "invalid-request" that says "unknown field `massage`"

  Scenario: what nobody receives goes by too
    Given I follow /traffic
    When web sends "zonk" as "1"
    Then I see this go by:
      """
      {"id": "1", "fate": "no-receivers", "receivers": []}
      """

  Scenario: what is given up goes by with the reason
    Given a broker with these settings:
      | delivery_window_ms | 200 |
    And the instance "users-1" of users receives "create"
    And "users-1" is offline
    And I follow /traffic
    When web sends "create" as "1" in activity "a"
    Then I see 1 go by, in this order
    And I see this go by:
      """
      {"id": "1", "name": "create", "sender": "web", "receiver": "users", "activityId": "a"}
      """
    When I GET /activities/a
    Then the answer says "not delivered within 200 ms"

  Scenario: payloads are not shown
    Given I follow /traffic
    When web sends "tweets.create" as "1" with the payload {"text":"hi"}
    Then I see this go by:
      """
      {"id": "1", "payloadBytes": 13, "payload": null}
      """
    When I GET /traffic?payloads=true
    Then the broker answers 403
    And the answer is a problem of the kind "forbidden" that says "--log-payloads"

  Scenario: payloads are shown to those who ask, where the broker may log them
    Given a broker that logs payloads
    And I follow /traffic?payloads=true
    When web sends "zonk" as "1" with the payload {"text":"hi"}
    Then I see this go by:
      """
      {"id": "1", "payload": {"text": "hi"}}
      """

  Scenario: one activity, each message below the one it answers
    When web sends "tweets.create" as "1" in activity "a"
    And web sends "tweets.create" as "2" in activity "a"
    And tweets sends "text-snippets.created" as "3" in activity "a" in reply to "1"
    And web sends "zonk" as "4" in activity "a"
    And web sends "tweets.create" as "5" in activity "b"
    Then the activity "a" is shown as: 1, 2, 3 below 1, 4 below 3

  Scenario: the response time counts from the request
    When web sends "tweets.create" as "1" in activity "a"
    And web sends "tweets.create" as "2" in activity "a"
    And tweets sends "text-snippets.created" as "3" in activity "a" in reply to "1"
    Then "3" answered after the time since "1" in activity "a"

  Scenario: an activity that nobody knows
    When I GET /activities/zonk
    Then the broker answers 404
    And the answer is a problem of the kind "not-found" that says "no record of activity 'zonk'"

  Scenario: the oldest gives way
    Given a broker with these settings:
      | traffic_messages_max | 2 |
    When web sends "zonk" as "1" in activity "a"
    And web sends "zonk" as "2" in activity "a"
    And web sends "zonk" as "3" in activity "a"
    Then the activity "a" is shown as: 2, 3

  Scenario: a broker that keeps nothing
    Given a broker with these settings:
      | traffic_messages_max | 0 |
    And I follow /traffic
    When web sends "zonk" as "1" in activity "a"
    Then I see 1 go by, in this order
    When I GET /activities/a
    Then the broker answers 404
    And the answer is a problem of the kind "not-found" that says "broker.traffic_messages_max is 0"

  Scenario: following ends with the broker
    Given I follow /traffic
    When the broker shuts down
    Then I see nothing more
    When I GET /traffic
    Then the broker answers 503
