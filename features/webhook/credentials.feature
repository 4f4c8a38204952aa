Feature: Credentials in URLs
  A user and a password in the URL of a service or a broker are sent with each call, and are shown to nobody.

  Scenario: The service gets them as Basic authorization
    Given a service that answers every message
    And `exorelay run --role users --bus embedded --receives hello --forward http://user:p%40ss@{service.address}` is running
    When I POST `1` to api/send/hello
    Then the service gets "hello" with payload `1`
    And the service gets the header "authorization: Basic dXNlcjpwQHNz"
    And neither the sidecar's log, nor what it answers to its operators, has "p%40ss"

  Scenario: They are hidden when the service cannot be reached
    Given the setting EXORELAY__WEBHOOK__DEADLINE_MS is 500
    And the setting EXORELAY__WEBHOOK__BREAKER_FAILURES is 1
    And the setting EXORELAY__LOG__LEVEL is trace
    And a service that is not up yet
    And `exorelay run --role users --bus embedded --receives hello --forward http://user:sesame@{service.address}` is running
    When I POST `1` to api/send/hello
    Then there is a dead letter "hello" with the words "cannot connect to 127.0.0.1"
    And api/ready becomes 503 with the words "cannot connect to 127.0.0.1"
    And neither the sidecar's log, nor what it answers to its operators, has "sesame"

  Scenario Outline: They are hidden when the broker cannot be reached
    Given the setting EXORELAY__LOG__LEVEL is trace
    And a service that is not up yet
    And `exorelay run --role users --bus <SCHEME>://user:sesame@{service.address}` is running
    Then api/ready becomes 503 with the words "cannot connect to 127.0.0.1"
    And neither the sidecar's log, nor what it answers to its operators, has "sesame"

    Examples:
      | SCHEME |
      | http   |
      | ws     |
