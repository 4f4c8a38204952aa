Feature: Services of the HTTP era
  A service that was written for ExoCom's HTTP era takes its sidecar's port for ExoCom's, and runs unchanged.

  Scenario: It is asked, and sends its reply itself
    Given `exorelay broker` is running
    And the original service "users_era1.py" is running beside `exorelay run --role users --receives users.create --api-envelope exocom --bus {broker}`
    And `exorelay run --role web --bus {broker}` is running as "web"
    When I POST `{"name":"Will Riker"}` to api/request/users.create
    Then I get 200 with a user called "Will Riker"
