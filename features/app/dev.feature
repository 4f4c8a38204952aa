Feature: A message in one minute
  One command starts broker, sidecar and a greeter, and prints what to try.

  Background:
    Given `exorelay dev --broker 127.0.0.1:0` is running

  Scenario: It prints what is running, and what to try
    Then it prints ready lines for broker, listen, api and edge
    And it prints commands to try

  Scenario: Ask and wait
    When I POST `{"name":"world"}` to api/request/hello
    Then I get 200 with `{"text":"Hello, world!"}`

  Scenario: Each command works as it is printed
    When I run the printed command "follow" in another terminal
    And I run the printed command "send"
    And I run the printed command "request"
    Then "request" prints `{"text":"Hello, world!"}`
    And "send" prints an id
    And "follow" prints "greeting"

  Scenario: The edge serves streams
    When I run the printed command "write a stream"
    And I wait for the end of "write a stream"
    And I run the printed command "read a stream"
    Then "read a stream" prints "hello stream"

  Scenario: A service joins from another process
    Given a service that answers "users.create" with "users.created" and `{"id":456}`
    And `exorelay run --role users --bus {broker} --receives users.create --forward {service}` is running as "users"
    When I POST `{"name":"Will"}` to api/request/users.create
    Then I get 200 with `{"id":456}`

  Scenario: It stops when asked, and logs it
    When it gets SIGTERM
    Then it ends with status 0
    And its log says "drained"
