Feature: An edge for clients outside the bus
  Browsers, agents and other clients that are not on the bus have one address of their own.

  Scenario: A sidecar with an edge
    Given `exorelay run --role web --bus embedded --edge 127.0.0.1:0` is running
    When I PUT `["first"]` to edge/v1/stream/orders as application/json
    Then I get 201 with an empty body
    When I GET edge/v1/stream/orders
    Then I get 200 with `["first"]`

  Scenario: A sidecar has no edge unless it is configured
    Given `exorelay run --role web --bus embedded` is running
    When it gets SIGTERM
    Then it ends with status 0
    And it has printed no ready line for edge

  Scenario: Followers do not keep the process from stopping
    Given `exorelay run --role web --bus embedded --edge 127.0.0.1:0` is running
    When I PUT `["first"]` to edge/v1/stream/orders as application/json
    And I run `exorelay stream follow orders --url http://{edge}/v1/stream`
    Then "run" prints "first"
    When it gets SIGTERM
    Then it ends with status 0
    And its log says "drained"
