Feature: A broker with tokens, its sidecars and its tools
  Sidecars prove their roles with `bus.token`, and operators present theirs; nobody else gets anywhere.

  Scenario Outline: Two sidecars with tokens exchange messages
    Given a service that answers every message
    And the setting EXORELAY__BROKER__TOKENS is *=s3cret
    And `exorelay broker` is running
    And the setting EXORELAY__BUS__TOKEN is s3cret
    And `exorelay run --role users --bus <users> --receives users.create --forward {service}` is running as "users"
    And `exorelay run --role web --bus <web>` is running as "web"
    When I POST `1` to api/send/users.create
    Then the service gets "users.create" with payload `1`

    Examples:
      | users                 | web                   |
      | {broker}              | {broker}              |
      | ws://{broker.address} | {broker}              |
      | {broker}              | ws://{broker.address} |

  Scenario: The tools present the token of an operator
    Given the setting EXORELAY__BROKER__TOKENS is users=s3cret
    And the setting EXORELAY__BROKER__OPERATOR_TOKENS is ops
    And `exorelay broker` is running
    When I run `exorelay ps --broker {broker}`
    Then "run" logs "no service is registered"
    When I run `exorelay activity 1 --broker {broker}`
    Then it fails with one line that says "no record of activity"
    When I run `exorelay ps --broker {broker} --token wrong`
    Then it fails with one line that says "needs the token of a role or of an operator"
    When I run `exorelay activity 1 --broker {broker} --token s3cret`
    Then it fails with one line that says "needs the token of an operator"
    When I run `exorelay tail --broker {broker} --token wrong`
    Then it fails with one line that says "needs the token of an operator"

  Scenario: Streams for other machines need the URL under which those reach them
    When I run `exorelay streams --listen 0.0.0.0:0 --insecure`
    Then "run" ends with status 78
    And "run" logs "streams.public_url is not set"

  Scenario: The embedded broker of a sidecar asks for tokens, too
    Given the setting EXORELAY__BROKER__TOKENS is pay=s3cret
    And `exorelay run --role web --bus embedded --broker 127.0.0.1:0` is running as "web"
    When I run `exorelay ps --broker {broker}`
    Then it fails with one line that says "needs the token of a role or of an operator"
