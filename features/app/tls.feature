Feature: TLS on every listener
  With a certificate under `[tls]`, each listener whose `tls` is true is reached over https and wss, and can ask its clients for
  certificates. Files are read again when they change.

  Scenario: Sidecars, their broker and the tools use an authority of their own
    Given every process has the certificate "relay" of an authority that it trusts
    And broker uses TLS
    And api uses TLS
    And `exorelay broker` is running
    And `exorelay run --role users --receives hello --bus {broker.address}` is running
    When I run `exorelay send hello 1 --api {api}`
    Then "run" prints "-"
    When I run `exorelay ps --broker {broker.address}`
    Then "run" prints the row "users .* (up|away)"
    When I run `exorelay health --api {api}`
    Then "run" prints "ready"

  Scenario: A sidecar connects over a WebSocket with TLS
    Given every process has the certificate "relay" of an authority that it trusts
    And broker uses TLS
    And `exorelay broker` is running
    And `exorelay run --role users --receives hello --bus {broker.wss}` is running
    When I run `exorelay ps --broker {broker.address}`
    Then "run" prints the row "users .* connected"

  Scenario: Streams over TLS name their https URLs
    Given every process has the certificate "relay" of an authority that it trusts
    And streams uses TLS
    And `exorelay streams` is running
    When I run `exorelay stream create notes --url {streams}/v1/stream`
    Then "run" prints "https://127.0.0.1:"

  Scenario: Only clients with a certificate are served
    Given every process has the certificate "relay" of an authority that it trusts
    And api uses TLS, and only for clients with such a certificate
    And `exorelay run --role users --receives hello --bus embedded` is running
    When I run `exorelay health --api {api}`
    Then "run" prints "ready"
    Given processes from now on have no certificate
    When I run `exorelay health --api {api}`
    Then it fails with one line that says "the connection to 127.0.0.1"

  Scenario: A file that is missing is named before anything starts
    Given the file "exorelay.toml":
      """
      [tls]
      cert_file = "missing.pem"
      key_file = "missing.key"
      [api]
      tls = true
      """
    When I run `exorelay config check` in the folder
    Then it exits with 78 and complains on one line: tls.cert_file: cannot read missing.pem; expected a PEM file that this process may read: No such file or directory (os error 2)
    When I run `exorelay run --role users --bus embedded` in the folder
    Then it exits with 78 and complains on one line: tls.cert_file: cannot read missing.pem; expected a PEM file that this process may read: No such file or directory (os error 2)

  Scenario: A listener that should use TLS needs a certificate
    Given the file "exorelay.toml":
      """
      [broker]
      tls = true
      """
    When I run `exorelay config check` in the folder
    Then it exits with 78 and complains on one line: tls.cert_file is not set, and broker.tls (exorelay.toml:2) needs it: give the path of a PEM file under [tls]
