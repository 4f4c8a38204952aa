Feature: Messages with only one end
  `exorelay lint` reads which messages the services of an application send and receive, and lists those that nobody
  receives and those that nobody sends. Services that have their own names for messages are compared by the names that
  everybody uses.

  Background:
    Given the file "application.yml":
      """
      services:
        public:
          web: { location: ./web }
        private:
          users: { location: ./users }
      """

  Scenario: Every message is sent by one and received by another
    Given the file "web/service.yml":
      """
      messages: { sends: [create user], receives: [user created] }
      """
    And the file "users/service.yml":
      """
      messages: { sends: [user created], receives: [create user] }
      """
    When I run `exorelay lint` in the folder
    Then it exits with 0 and prints nothing

  Scenario: A message is sent and nobody receives it
    Given the file "web/service.yml":
      """
      messages: { sends: [create user, delete user] }
      """
    And the file "users/service.yml":
      """
      messages: { receives: [create user] }
      """
    When I run `exorelay lint` in the folder
    Then it exits with 1 and prints:
      """
      The following messages are sent but not received:
        web: delete user
      """

  Scenario: A message is received and nobody sends it
    Given the file "web/service.yml":
      """
      messages: { sends: [create user] }
      """
    And the file "users/service.yml":
      """
      messages: { receives: [create user, delete user] }
      """
    When I run `exorelay lint` in the folder
    Then it exits with 1 and prints:
      """
      The following messages are received but not sent:
        users: delete user
      """

  Rule: Names are translated first

    Background:
      Given the file "application.yml":
        """
        services:
          public:
            web: { location: ./web }
          private:
            users: { location: ./users }
        message-translation:
          - public: users create
            internal: mongo create
          - public: users created
            internal: mongo created
        """

    Scenario: Every message is sent by one and received by another under its public name
      Given the file "web/service.yml":
        """
        messages: { sends: [users create], receives: [users created] }
        """
      And the file "users/service.yml":
        """
        messages: { sends: [mongo created], receives: [mongo create] }
        """
      When I run `exorelay lint` in the folder
      Then it exits with 0 and prints nothing

    Scenario: A translated message is sent and nobody receives it
      Given the file "web/service.yml":
        """
        messages: { sends: [users create] }
        """
      And the file "users/service.yml":
        """
        messages: { sends: [mongo created], receives: [mongo create] }
        """
      When I run `exorelay lint` in the folder
      Then it exits with 1 and prints:
        """
        The following messages are sent but not received:
          users: users created
        """

    Scenario: A translated message is received and nobody sends it
      Given the file "web/service.yml":
        """
        messages: { receives: [users created] }
        """
      And the file "users/service.yml":
        """
        messages: { sends: [mongo created], receives: [mongo create] }
        """
      When I run `exorelay lint` in the folder
      Then it exits with 1 and prints:
        """
        The following messages are received but not sent:
          users: users create
        """

    Scenario: A translation is missing
      Given the file "web/service.yml":
        """
        messages: { sends: [users create, users delete], receives: [users created] }
        """
      And the file "users/service.yml":
        """
        messages: { sends: [mongo created], receives: [mongo create, mongo delete] }
        """
      When I run `exorelay lint` in the folder
      Then it exits with 1 and prints:
        """
        The following messages are sent but not received:
          web: users delete
        The following messages are received but not sent:
          users: mongo delete
        """

  Rule: There are other places where it is written which messages there are

    Scenario: A landscape of our own
      Given the file "landscape.toml":
        """
        [services.web]
        sends = ["users.create", "users.delete"]

        [services.users]
        receives = ["mongo.create"]
        namespace = "mongo"
        """
      When I run `exorelay lint landscape.toml` in the folder
      Then it exits with 1 and prints:
        """
        The following messages are sent but not received:
          web: users.delete
        """

    Scenario: The environment of the WebSocket era
      Given the file "application.yml" is not there
      And the setting SERVICE_DATA is:
        """
        {"web": {"sends": ["users create", "users list"]}, "users": {"receives": ["mongo create"],
         "translations": [{"public": "users create", "internal": "mongo create"}]}}
        """
      When I run `exorelay lint` in the folder
      Then it exits with 1 and prints:
        """
        The following messages are sent but not received:
          web: users list
        """

    Scenario: An application counts more than the environment
      Given the setting SERVICE_DATA is:
        """
        {"web": {"sends": ["create user"]}}
        """
      And the file "web/service.yml":
        """
        messages: { sends: [] }
        """
      And the file "users/service.yml":
        """
        messages: { receives: [] }
        """
      When I run `exorelay lint` in the folder
      Then it exits with 0 and prints nothing

  Rule: What cannot be read is reported on one line

    Scenario: A service without a file
      When I run `exorelay lint` in the folder
      Then it exits with 78 and complains on one line: cannot read the landscape ./users/service.yml: No such file or directory (os error 2)

    Scenario: There is nothing to read
      Given the file "application.yml" is not there
      When I run `exorelay lint` in the folder
      Then it exits with 78 and complains on one line: there is nothing to lint: this folder has no application.yml, and SERVICE_DATA is not set; give the PATH of a landscape

    Scenario: The environment is wrong
      Given the file "application.yml" is not there
      And the setting SERVICE_DATA is:
        """
        {"web": {"sends": "create user"}}
        """
      When I run `exorelay lint` in the folder
      Then it exits with 78 and complains on one line: SERVICE_DATA is not usable: role "web": "sends" must be an array of message names, at most 4096

    Scenario: The path leads nowhere
      When I run `exorelay lint elsewhere.toml` in the folder
      Then it exits with 78 and complains on one line: cannot read the landscape elsewhere.toml: No such file or directory (os error 2)
