Feature: Services in several languages
  A web service in Node asks a user service in Python through two sidecars and a broker, each a process of its own. It is
  the set that docker/compose.yaml runs.

  Background:
    Given `exorelay broker` is running
    And the Python service "users.py" is running
    And `exorelay run --role users --receives users.create --forward {users.py} --bus {broker}` is running as "users"
    And `exorelay run --role web --bus {broker}` is running as "web"
    And the Node service "web.mjs" is running beside "web"

  Scenario: A request goes from web to users and comes back
    When I POST `{"name":"Will Riker"}` to web.mjs/signup
    Then I get 201 with a user called "Will Riker"

  Scenario: The broker is killed and comes back
    When the broker is killed and started again
    And I POST `{"name":"Will Riker"}` to web.mjs/signup, and again while it is refused as unavailable
    Then I get 201 with a user called "Will Riker"

  Scenario: The users' sidecar is killed and comes back
    When "users" is killed and started again
    And I POST `{"name":"Will Riker"}` to web.mjs/signup
    Then I get 201 with a user called "Will Riker"
