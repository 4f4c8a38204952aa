Feature: Services of the HTTP era
  A service that was written for ExoCom's HTTP era takes its sidecar's port for ExoCom's, and runs unchanged.

  Scenario: It is asked, and sends its reply itself
    Given `exorelay broker` is running
    And the original service "users_era1.py" is running beside `exorelay run --role users --receives users.create --api-envelope exocom --bus {broker}`
    And `exorelay run --role web --bus {broker}` is running as "web"
    When I POST `{"name":"Will Riker"}` to api/request/users.create
    Then I get 200 with a user called "Will Riker"

  Scenario: A broker that its environment configures, as the originals were
    Given a service that answers "users.create" with "users.created" and `{"id":456}`
    And `exorelay broker --compat` is running
    And `exorelay run --role users --register off --bus {broker} --forward {service}` is running as "users"
    When I POST `[{"name":"users","host":"localhost","port":{listen.port},"sends":[],"receives":["users.create"]}]` to broker/services
    Then I get 200 with an empty body
    When I POST `{"name":"Will"}` to api/send/users.create
    Then the service gets "users.create" with payload `{"name":"Will"}`
