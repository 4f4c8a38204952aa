Feature: Stopping
  A process that is asked to stop takes nothing new, finishes what it has begun and leaves the bus,
  within its grace time. It ends with status 0 if nothing that it had accepted is left, else with 1 and the number.

  Scenario: A message that is being handled is finished
    Given a service that answers "slow" with "done" and `1` after 400 ms
    And `exorelay run --role users --bus embedded --receives slow --forward {service}` is running
    And a request of "slow" is waiting at the api
    When it gets SIGTERM
    Then the waiting request gets 200 with `1`
    And it ends with status 0

  Scenario: Nothing new is taken
    Given a service that answers "slow" with "done" and `1` after 600 ms
    And `exorelay run --role users --bus embedded --receives slow --forward {service}` is running
    And a request of "slow" is waiting at the api
    When it gets SIGTERM
    Then api/ready becomes 503 with the words "shutting down"
    When I POST `{"id":"1"}` to listen/run/slow
    Then I get 503 with the problem "draining" and the words "shutting down"

  Scenario: It leaves the bus
    Given `exorelay broker` is running
    And `exorelay run --role users --bus {broker} --receives hello` is running as "users"
    Then the broker knows the role "users"
    When "users" gets SIGTERM
    Then "users" ends with status 0
    And the broker knows no instance of "users"

  Scenario: The grace time is a bound
    Given a service that hangs
    And the setting EXORELAY__DRAIN__GRACE_MS is 200
    And `exorelay run --role users --bus embedded --receives slow --forward {service}` is running
    When I POST `1` to api/send/slow
    And the service gets "slow" with payload `1`
    And it gets SIGTERM
    Then it ends with status 1
    And its log says "stopped with 1 unfinished message"

  Scenario: A taken port
    Given `exorelay broker` is running
    When I run `exorelay broker --listen {broker}`
    Then it ends with status 1 and one line that names the port and "--listen"
