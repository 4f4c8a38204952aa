Feature: Watching the traffic of a broker
  `exorelay tail --broker` prints messages as they pass, `exorelay activity` prints one conversation afterwards.

  Background:
    Given `exorelay broker` is running
    And a service that answers "users.create" with "users.created" and `{"id":1}` after 200 ms
    And `exorelay run --role users --receives users.create --forward {service} --bus {broker}` is running as "users"
    And `exorelay run --role web --bus {broker}` is running as "web"

  Scenario: A request and its answer
    When I POST `{"name":"Will"}` to api/request/users.create with the header "exo-activity-id: signup"
    And I run `exorelay activity signup --broker {broker}`
    Then it prints this timeline of "signup":
      """
      web  --[ users.create ]->  users
        users  --[ users.created ]->  web  answered after a while
      """

  Scenario: The response time counts from the request
    When I POST `{"name":"Will"}` to api/request/users.create with the header "exo-activity-id: signup"
    And I POST `1` to api/request/zonk with the header "exo-activity-id: signup"
    And I POST `{"name":"Tom"}` to api/request/users.create with the header "exo-activity-id: signup"
    And I run `exorelay activity signup --broker {broker}`
    Then it prints this timeline of "signup":
      """
      web  --[ users.create ]->  users
        users  --[ users.created ]->  web  answered after a while
          web  --[ zonk ]->  nobody yet
            x  no service receives it
          web  --[ users.create ]->  users
            users  --[ users.created ]->  web  answered after a while
      """
    And every answer in it came at least 200 ms after its request

  Scenario: An unknown activity
    When I run `exorelay activity zonk --broker {broker}`
    Then it fails with one line that says "no record of activity "zonk""

  Scenario: Following a role
    Given `exorelay tail --broker {broker} --role users` follows along
    When I POST `1` to api/request/zonk
    And I POST `{"name":"Will"}` to api/request/users.create
    Then it prints a line of JSON each for: users.create, users.created

  Scenario: A misspelt name or role is said, and so is what is followed
    Given `exorelay tail --broker {broker} --name usrs.create,users.create --role usrs` follows along
    Then "run" logs ": only usrs.create, users.create of the role usrs"
    And "run" logs "no such message is known to the broker: usrs.create; did you mean users.create?"
    And "run" logs "no such role is known to the broker: usrs; did you mean users?"

  Scenario: Following a broker that restarts
    Given `exorelay tail --broker {broker}` follows along
    When the broker is killed and started again
    Then it follows along again
    When I POST `{"name":"Will"}` to api/request/users.create, and again while it is refused as unavailable
    Then it prints a line of JSON each for: users.create, users.created
